"""Putting a picture on the page: dropped, chosen, pasted, typed, painted."""

import os
import re

import httpx

from browser import (
    BLANK,
    LOGO,
    PHONE,
    answered,
    api_offsets,
    asked,
    centre,
    drop,
    expect,
    in_rows,
    inverse,
    offsets_of,
    picture_of,
    shows,
    try_example,
)


def test_a_dropped_picture_is_read_and_found(page, bitmap):
    drop(page.get_by_role("grid"), LOGO, "image/png")
    shows(page, bitmap)
    answered(page)
    assert asked(page)["bitmap"] == bitmap
    assert asked(page)["logo"] == "soundcloud.png"
    assert offsets_of(page) == api_offsets(page)
    assert len(offsets_of(page)) == 10
    expect(page.locator("#veil")).to_be_hidden()


def test_a_chosen_file_is_read_again_as_its_options_say(page, bitmap):
    page.locator("#file").set_input_files(LOGO)
    expect(page.get_by_role("img", name="The image as it was given")).to_be_visible()
    answered(page)
    assert picture_of(page) == bitmap
    page.get_by_label("Swap light and dark").check()
    shows(page, inverse(bitmap))
    page.get_by_label("Swap light and dark").uncheck()
    shows(page, bitmap)
    for change, words in (
        (lambda: page.get_by_label("Fit").select_option("stretch"), "fit=stretch.*invert=false"),
        (lambda: page.get_by_label("Trim the border").uncheck(), "trim=false"),
    ):
        with page.expect_request(re.compile(words)) as request:
            change()
        shows(page, httpx.post(request.value.url, content=LOGO.read_bytes()).json()["bitmap"])
    answered(page)


def test_digits_and_pictures_are_pasted(visit, bitmap):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.evaluate("(text) => navigator.clipboard.writeText(text)", in_rows(bitmap))
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("Control+V")
    shows(page, bitmap)
    answered(page)
    assert offsets_of(page) == api_offsets(page)
    page.get_by_role("button", name="Clear").click()
    page.evaluate(
        """async () => {
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [14, 6];
          canvas.getContext("2d").fillRect(0, 0, 14, 3);
          const blob = await new Promise((resolve) => canvas.toBlob(resolve));
          await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }"""
    )
    page.keyboard.press("Control+V")
    shows(page, "9" * 42 + "0" * 42)
    expect(page.locator("#reading-name")).to_have_text("pasted")
    answered(page)


def test_typed_digits_are_the_picture(page, bitmap):
    page.get_by_text("As 84 digits").click()
    field = page.get_by_role("textbox", name="The 84 digits")
    field.fill(bitmap[:-1])
    expect(page.locator("#digits-note")).to_have_text("83 characters; 84 digits are needed.")
    assert picture_of(page) == BLANK
    field.press("End")
    field.press_sequentially(bitmap[-1])
    expect(page.locator("#digits-note")).to_be_empty()
    assert picture_of(page) == bitmap
    answered(page)
    assert asked(page)["bitmap"] == bitmap


def test_the_pointer_paints_a_line_in_one_stroke(page):
    page.get_by_role("radio", name="Shade 5").check(force=True)
    page.mouse.move(*centre(page, 2, 3))
    page.mouse.down()
    page.mouse.move(*centre(page, 2, 9))  # one leap: the cells between are painted too
    page.mouse.up()
    painted = "0" * 16 + "5" * 7 + "0" * 61
    assert picture_of(page) == painted
    answered(page)
    assert asked(page)["bitmap"] == painted
    assert offsets_of(page) == api_offsets(page)
    page.get_by_role("button", name="Undo").click()
    assert picture_of(page) == BLANK
    expect(page.get_by_text("Paint on the grid, choose an image")).to_be_visible()
    page.get_by_role("button", name="Redo").click()
    assert picture_of(page) == painted
    answered(page)


def test_a_drag_of_a_finger_paints(visit):
    page = visit(**PHONE)
    ends = [dict(zip("xy", centre(page, *place), strict=True)) for place in ((1, 1), (6, 1))]
    session = page.context.new_cdp_session(page)
    for kind, points in (("Start", ends[:1]), ("Move", ends[1:]), ("End", [])):
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    expect(page.get_by_role("gridcell", name="row 6, column 1: shade 9")).to_be_visible()
    assert picture_of(page) == ("9" + "0" * 13) * 6
    assert page.evaluate("() => scrollY") == 0


def test_invert_clear_and_the_example_can_be_undone(page, bitmap):
    page.get_by_role("button", name="Try the SoundCloud logo").click()
    answered(page)
    page.get_by_role("button", name="Invert").click()
    inverted = inverse(bitmap)
    assert picture_of(page) == inverted
    page.get_by_role("button", name="Clear").click()
    assert picture_of(page) == BLANK
    assert asked(page) == {}
    expect(page.locator(".card")).to_have_count(0)
    expect(page.get_by_label("Name")).to_have_value("")
    for earlier in (inverted, bitmap, BLANK):
        page.keyboard.press("Control+Z")
        assert picture_of(page) == earlier
    page.keyboard.press("Control+Y")
    page.keyboard.press("Control+Shift+Z")
    assert picture_of(page) == inverted
    answered(page)
    assert offsets_of(page) == api_offsets(page)


def test_a_picture_that_is_none_is_told(page, faults, tmp_path):
    faults.expected = ["422 (Unprocessable"]
    try_example(page)
    before = picture_of(page)
    damaged = {"name": "a.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n"}
    page.locator("#file").set_input_files([damaged])
    expect(page.locator("#source-alert")).to_contain_text("a.png is a damaged PNG")
    expect(page.locator("#reading")).to_be_hidden()
    assert picture_of(page) == before
    page.locator("#file").set_input_files([{**damaged, "buffer": b""}])
    expect(page.locator("#source-alert")).not_to_contain_text("damaged")
    large = tmp_path / "large.png"
    large.touch()
    os.truncate(large, 16_000_001)
    page.locator("#file").set_input_files(large)
    expect(page.locator("#source-alert")).to_have_text(
        "large.png has 16,000,001 bytes; 16,000,000 are allowed"
    )
    page.locator("#file").set_input_files(LOGO)
    expect(page.locator("#source-alert")).to_be_hidden()
