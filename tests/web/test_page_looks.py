"""The page for every reader: keyboard, names, phone, dark, screenshots."""

import os
import re
from pathlib import Path

import httpx
import pytest

from browser import (
    LOGO,
    PHONE,
    VIEWS,
    answered,
    api_answer,
    asked,
    centre,
    expect,
    picture_of,
    reach_sideways,
    tab_to,
    try_example,
    unnamed_controls,
)


def test_the_keyboard_alone_is_enough(page):
    press = page.keyboard.press
    tab_to(page, page.get_by_role("gridcell", name="row 1, column 1:"))
    for key in ("7", "ArrowRight", "9", "End", "ArrowRight", "Space", "ArrowDown", "Home", "3"):
        press(key)
    expect(page.locator("#spoken")).to_have_text("row 2, column 1: shade 3")
    expect(page.get_by_role("gridcell", name="row 2, column 1: shade 3")).to_be_focused()
    painted = "79" + "0" * 11 + "9" + "3" + "0" * 69
    assert picture_of(page) == painted
    press("Control+Z")
    assert picture_of(page) == painted.replace("3", "0")
    press("Control+Y")
    tab_to(page, page.get_by_role("radio", name="Shade 9"))
    press("ArrowLeft")
    tab_to(page, page.get_by_role("gridcell", name="row 2, column 1:"), "Shift+Tab")
    press("ArrowDown")
    press("Enter")
    painted = painted[:28] + "8" + painted[29:]
    assert picture_of(page) == painted
    tab_to(page, page.get_by_role("button", name="Find it in π"))
    press("Enter")
    answered(page)
    assert asked(page)["bitmap"] == painted
    opener = page.get_by_role("button", name="Compare match 1 with the picture")
    tab_to(page, opener)
    press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("#compare-heading")).to_be_focused()
    press("ArrowRight")
    expect(dialog.locator("#compare-heading")).to_contain_text("2 ")
    tab_to(page, dialog.get_by_role("radio", name="Side by side"))
    for view in VIEWS[1:]:
        press("ArrowRight")
        expect(dialog.get_by_role("radio", name=view)).to_be_checked()
    expect(dialog.locator("#compare-heading")).to_contain_text("2 ")
    press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


def test_a_phone_scrolls_down_alone(visit):
    page = visit(**PHONE)
    assert reach_sideways(page) == 0
    page.locator("#file").set_input_files(LOGO)
    answered(page)
    page.get_by_text("As 84 digits").click()
    page.get_by_label(re.compile("^Digits of match 1$")).click()
    page.get_by_text("What to expect of this picture").click()
    expect(page.locator("#odds-plot")).to_have_js_property("complete", True)
    expect(page.locator("#odds-rows tr").first).to_be_visible()
    assert reach_sideways(page) == 0
    x, y = centre(page, 6, 14)
    page.touchscreen.tap(x, y)
    assert picture_of(page)[-1] == "9"
    answered(page)
    page.get_by_role("button", name="Compare match 1 with the picture").tap()
    for view in VIEWS:
        page.get_by_role("radio", name=view).check(force=True)
        if view == "In context":
            expect(page.get_by_role("dialog").get_by_role("row")).to_have_count(16)
        assert reach_sideways(page) == 0, view


def test_the_dark_changes_the_paper_and_no_picture(visit, bitmap):
    seen = {}
    for scheme in ("light", "dark"):
        page = visit(color_scheme=scheme)
        try_example(page)
        seen[scheme] = page.evaluate(
            """() => ({
              paper: getComputedStyle(document.documentElement).backgroundColor,
              ink: getComputedStyle(document.body).color,
              cells: [...document.querySelectorAll('[role=gridcell]')].map(
                (cell) => getComputedStyle(cell).backgroundColor),
              canvases: [...document.querySelectorAll('.card canvas')].map(
                (canvas) => [...canvas.getContext("2d").getImageData(0, 0, 14, 6).data]),
            })"""
        )
    greys = httpx.get(page.url.split("?")[0] + "api/v1/info").json()["greys"]
    light, dark = seen["light"], seen["dark"]
    assert light["cells"] == dark["cells"]
    assert light["cells"] == ["rgb({0}, {0}, {0})".format(greys[int(d)]) for d in bitmap]
    assert light["canvases"] == dark["canvases"]
    pixels = [(greys[int(d)],) * 3 + (255,) for d in api_answer(page)["matches"][0]["sequence"]]
    assert dark["canvases"][0] == [value for pixel in pixels for value in pixel]
    brightness = {
        (scheme, name): sum(map(int, re.findall(r"\d+", seen[scheme][name])[:3])) / 3
        for scheme in seen
        for name in ("paper", "ink")
    }
    assert brightness["light", "paper"] > 200
    assert brightness["light", "ink"] < 60
    assert brightness["dark", "paper"] < 60
    assert brightness["dark", "ink"] > 200


def test_colours_of_the_users_own_leave_the_shades(visit, bitmap):
    greys = httpx.get(visit().url + "api/v1/info").json()["greys"]
    shades = [f"rgb({grey}, {grey}, {grey})" for grey in greys]
    for scheme in ("light", "dark"):
        page = visit(color_scheme=scheme, forced_colors="active")
        try_example(page)
        page.get_by_text("What to expect of this picture").click()
        expect(page.locator("#odds-rows tr.here")).not_to_have_css("outline-style", "none")

        def colours(selector, name="backgroundColor", page=page):
            return page.locator(selector).evaluate_all(
                "(all, name) => all.map((element) => getComputedStyle(element)[name])", name
            )

        assert colours("[role=gridcell]") == [shades[int(digit)] for digit in bitmap]
        assert colours(".palette span") == shades
        assert set(colours(".card-actions button", "textDecorationLine")) == {"underline"}
        page.get_by_role("button", name="Compare match 1", exact=True).click()
        for view in VIEWS:
            page.get_by_role("radio", name=view).check(force=True)
            lines = colours(".views span", "borderBottomColor")
            chosen = lines.pop(VIEWS.index(view))
            assert len(set(lines)) == 1
            assert chosen != lines[0]
            if view == "Side by side":
                fills = colours(".beside figure:first-child rect", "fill")
                assert fills == [shades[int(digit)] for digit in bitmap]
        expect(page.locator(".strip-window")).to_have_css("outline-color", "rgb(255, 85, 0)")


def test_who_wants_no_motion_sees_none(visit, browser, address):
    for motion, moves in (("no-preference", True), ("reduce", False)):
        page = browser.new_page(reduced_motion=motion)
        page.goto(f"{address}/")
        page.get_by_role("button", name="SoundCloud logo", exact=True).click()
        expect(page.locator("#grid")).to_have_class("grid settling")
        lasting = page.get_by_role("gridcell").first.evaluate(
            "(cell) => getComputedStyle(cell).transitionDuration"
        )
        assert (lasting not in {"", "0s"}) == moves
        page.close()


def test_a_screen_reader_is_told_what_is_there(page):
    try_example(page)
    rows = page.get_by_role("grid").get_by_role("row")
    assert [row.get_attribute("aria-label") for row in rows.all()] == [
        f"row {number}" for number in range(1, 7)
    ]
    tree = page.locator("body").aria_snapshot()
    for line in (
        'heading "A picture, found in π" [level=1]', 'region "The picture"', 'grid "The picture',
        'group "Shade to paint with"', 'radio "Shade 9" [checked]', 'button "Choose an image"',
        'region "The search"', 'combobox "Distance"', 'spinbutton "How many"', 'region "Matches"',
        'listitem "Match 10"', 'button "Copy offset', 'link "Contact sheet (PNG)"',
    ):  # fmt: skip
        assert f"- {line}" in tree, line


def test_every_control_has_a_name(page):
    assert unnamed_controls(page) == []
    page.locator("#file").set_input_files(LOGO)
    answered(page)
    page.get_by_text("As 84 digits").click()
    page.get_by_text("What to expect of this picture").click()
    expect(page.locator("#odds-rows tr").first).to_be_visible()
    assert unnamed_controls(page) == []
    ids = page.locator("[id]").evaluate_all("all => all.map((element) => element.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.skipif(
    "PILOGO_SCREENSHOTS" not in os.environ,
    reason="PILOGO_SCREENSHOTS names the folder to put them in",
)
def test_screenshots(visit):
    folder = Path(os.environ["PILOGO_SCREENSHOTS"])
    desk = {"viewport": {"width": 1440, "height": 960}}
    phone = {**PHONE, "viewport": {"width": 360, "height": 1280}, "device_scale_factor": 2}
    for name, options in (("page", desk), ("page-phone", phone)):
        page = visit(**options)
        try_example(page)
        page.mouse.move(0, 0)
        page.screenshot(path=folder / f"{name}.png")
