"""The page as a person meets it: a real Chromium, a real server over the default store."""

import json
import os
import re
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

import served as served_module
from browser import (
    Faults,
    chromium,
    drop,
    offsets_of,
    picture_of,
    reach_sideways,
    tab_to,
    unnamed_controls,
    write_slow_program,
)
from served import serving

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="no playwright: pip install 'pilogo[test]'"
)
expect = sync_api.expect

ROOT = Path(__file__).parents[2]
LOGO = ROOT / "data" / "soundcloud.png"
BLANK = "0" * 84
VIEWS = ("Side by side", "Overlaid", "Difference", "In context")
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(indexed_home):
    with serving(indexed_home) as (address, _):
        yield address


@pytest.fixture
def faults():
    faults = Faults()
    yield faults
    assert faults.unexpected() == []


@pytest.fixture
def visit(browser, address, faults):
    """visit(path, address, …) opens a page in a context of its own."""
    contexts = []

    def visit(path="", address=address, **options):
        contexts.append(browser.new_context(reduced_motion="reduce", **options))
        faults.watch(contexts[-1], address)
        page = contexts[-1].new_page()
        page.goto(f"{address}/{path}")
        expect(page.get_by_role("gridcell")).to_have_count(84)
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit):
    return visit(viewport={"width": 1280, "height": 900})


@pytest.fixture(scope="module")
def bitmap(contest):
    return contest["bitmap"]


@pytest.fixture
def slow(indexed_home, tmp_path, monkeypatch):
    """(address, opener) of a server whose index answers, and whose scan waits for the opener."""
    opener = tmp_path / "opener"
    program = write_slow_program(tmp_path / "pilogo", opener)
    monkeypatch.setattr(served_module, "PROGRAM", program)
    with serving(indexed_home) as (address, _):
        yield address, opener


def find(page):
    """Press the button, and wait for the answer."""
    page.get_by_role("button", name="Find it in π").click()
    answered(page)


def answered(page):
    """Wait until the matches on the page are those of the picture and of the address bar."""
    deadline = time.monotonic() + 20
    while True:
        picture, sheet = picture_of(page), page.locator("#sheet").get_attribute("href") or ""
        if sheet.partition("?")[2] == urlsplit(page.url).query and f"bitmap={picture}" in sheet:
            break
        assert time.monotonic() < deadline, f"no answer; the address is {page.url}"
        page.wait_for_timeout(20)
    expect(page.locator("#answer-how")).to_have_text(re.compile(r"^(Certified|From the index)"))
    expect(page.locator("#running")).to_be_hidden()


def api_answer(page):
    """What the API answers to the query in the address bar."""
    parts = urlsplit(page.url)
    reply = httpx.get(f"{parts.scheme}://{parts.netloc}/api/v1/find?{parts.query}", timeout=60)
    assert reply.status_code == 200, reply.text
    return reply.json()


def api_offsets(page):
    return [match["offset"] for match in api_answer(page)["matches"]]


def asked(page):
    """The query in the address bar."""
    return {name: value for name, (value,) in parse_qs(urlsplit(page.url).query).items()}


def try_example(page):
    page.get_by_role("button", name="SoundCloud logo", exact=True).click()
    answered(page)


def shows(page, digits):
    """Wait until the picture has these digits."""
    expect(page.locator("#digits")).to_have_value(in_rows(digits))
    assert picture_of(page) == digits


def in_rows(digits):
    return "\n".join(re.findall(".{14}", digits))


def inverse(digits):
    return "".join(str(9 - int(digit)) for digit in digits)


def centre(page, row, column):
    cell = page.get_by_role("gridcell", name=f"row {row}, column {column}:")
    cell.scroll_into_view_if_needed()
    box = cell.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


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


def test_the_answer_is_that_of_the_api(page):
    try_example(page)
    flags = {"exact": "Compare every window", "distinct": "No two that overlap"}
    for metric, top, flag in (("l2", 3, "exact"), ("gray-l1", 130, "distinct")):
        page.get_by_label("Distance").select_option(metric)
        page.get_by_label("How many").fill(str(top))
        page.get_by_label(flags[flag]).check()
        find(page)
        query = asked(page)
        assert (query["metric"], query["top"], query[flag]) == (metric, str(top), "true")
        expect(page.locator("#answer-what")).to_have_text(
            f"The {top} closest of 9,999,917 windows of π."
        )
        while page.locator("#more").is_visible():
            shown = page.locator(".card").count()
            page.locator("#more").click()
            expect(page.locator(".card").nth(shown)).to_be_focused()
        matches = api_answer(page)["matches"]
        assert offsets_of(page) == [match["offset"] for match in matches]
        last = page.locator(".card").last
        distance = f"{matches[-1]['distance']:,.6f}".rstrip("0").rstrip(".")
        expect(last).to_contain_text(f"distance {distance} ·")
        last.get_by_text("Digits", exact=True).click()
        expect(last.locator("pre")).to_have_text(in_rows(matches[-1]["sequence"]))


def test_a_wrong_option_is_told_and_not_asked(page):
    try_example(page)
    before = page.url
    too_many = "How many: a whole number from 1 to 1,000 is needed."
    no_missed = "May lack: a number above 0 is needed."
    for label, value, words in (
        ("How many", "0", too_many),
        ("How many", "2.5", too_many),
        ("How many", "1001", too_many),
        ("How many", "", too_many),
        ("May lack", "0", no_missed),
        ("May lack", "", no_missed),
    ):
        field = page.get_by_label(label)
        right = field.input_value()
        field.fill(value)
        page.get_by_role("button", name="Find it in π").click()
        expect(page.locator("#options-alert")).to_have_text(words)
        field.fill(right)
        expect(page.locator("#options-alert")).to_be_hidden()
    answered(page)
    assert page.url == before


def test_a_match_is_compared_with_the_picture(page, bitmap):
    try_example(page)
    matches = api_answer(page)["matches"]
    opener = page.get_by_role("button", name="Compare match 1 with the picture")
    opener.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("radio", name="Side by side")).to_be_checked()
    expect(dialog.locator("#compare-heading")).to_be_focused()
    for name, digits in (("The picture", bitmap), ("Match 1", matches[0]["sequence"])):
        texts = dialog.get_by_role("img", name=name).locator("text").all_text_contents()
        assert "".join(texts) == digits

    dialog.get_by_role("radio", name="Overlaid").check(force=True)
    slider = dialog.get_by_role("slider", name="Fade from the picture to the match")
    over = dialog.locator(".stack canvas").last
    for value in ("0", "100", "30"):
        slider.fill(value)
        expect(over).to_have_css("opacity", str(int(value) / 100).removesuffix(".0"))
    expect(slider).to_have_attribute("aria-valuetext", "30 % match")

    dialog.get_by_role("radio", name="Difference").check(force=True)
    pairs = [(int(a), int(b)) for a, b in zip(bitmap, matches[0]["sequence"], strict=True)]
    equal = sum(a == b for a, b in pairs)
    expect(dialog.locator("figcaption")).to_have_text(
        f"Shades apart, pixel by pixel: {sum(abs(a - b) for a, b in pairs)} in all; "
        f"{equal} of 84 pixels are equal."
    )

    expect(dialog.get_by_role("button", name="Previous")).to_be_disabled()
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.locator("#compare-heading")).to_have_text(f"2 {matches[1]['offset']:,}")
    dialog.get_by_role("button", name="Previous").click()
    expect(dialog.locator("#compare-heading")).to_be_focused()  # its button is disabled
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    expect(dialog.locator("#compare-heading")).to_have_text(f"10 {matches[9]['offset']:,}")
    expect(dialog.get_by_role("button", name="Next")).to_be_disabled()
    assert unnamed_controls(page, least=10) == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()
    page.get_by_role("button", name="Compare match 1", exact=True).click()
    expect(dialog.get_by_role("radio", name="Overlaid")).to_be_checked()
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Compare match 1", exact=True)).to_be_focused()


def test_a_match_is_shown_among_the_decimals(page, address):
    try_example(page)
    match = api_answer(page)["matches"][1]
    page.get_by_role("button", name="Match 2 in context").click()
    dialog = page.get_by_role("dialog")
    rows = dialog.get_by_role("row")
    expect(rows).to_have_count(16)
    first = match["offset"] - 5 * 14
    around = httpx.get(f"{address}/api/v1/digits", params={"offset": first, "length": 224}).json()[
        "digits"
    ]
    assert "".join(dialog.locator("td").all_text_contents()) == around
    assert "".join(dialog.locator("mark").all_text_contents()) == match["sequence"]
    expect(rows.first.get_by_role("rowheader")).to_have_text(f"{first:,}")


def test_the_context_ends_where_the_decimals_do(visit, address, decimals):
    page = visit()
    for window, marked in ((0, 0), (30, 3), (10**7 - 84, 5)):
        digits = decimals[window : window + 84].tobytes().decode()
        page.goto(f"{address}/?bitmap={digits}&top=1")
        expect(page.locator(".card")).to_have_id(f"match-{window + 1}")
        page.get_by_role("button", name="Match 1 in context").click()
        lines = page.get_by_role("dialog").locator("td")
        expect(lines.nth(marked).locator("mark")).to_have_text(digits[:14])
        start, end = max(0, window - 70), min(10**7, window + 154)
        texts = "".join(lines.all_text_contents()).strip()
        assert texts == decimals[start:end].tobytes().decode()


def test_what_an_e_value_is_can_be_asked_and_things_copied(visit):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    try_example(page)
    offset = api_offsets(page)[1]
    card = page.locator(f"#match-{offset}")
    card.get_by_role("button", name="E-value").click()
    expect(page.locator("#about-expected")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#about-expected")).to_be_hidden()

    def copied(name):
        page.evaluate("() => navigator.clipboard.writeText('')")
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.locator("#spoken")).to_have_text("Copied")
        return page.evaluate("() => navigator.clipboard.readText()")

    assert copied(f"Copy offset {offset:,}") == str(offset)
    assert copied("Copy link to match 2") == f"{page.url}#match={offset}"
    assert copied("Copy link") == page.url
    page.get_by_role("button", name="Compare match 2", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="E-value").click()
    expect(page.locator("#about-expected")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_shared_link_shows_the_same(page, visit, bitmap):
    try_example(page)
    page.get_by_label("How many").fill("80")
    page.get_by_label("No two that overlap").check()
    find(page)
    offsets = api_offsets(page)
    assert offsets_of(page) == offsets[:60]
    for pointed in (offsets[4], offsets[70]):  # the second is not among the first 60 cards
        other = visit(page.url.split("/", 3)[3] + f"#match={pointed}")
        answered(other)
        shown = offsets_of(other)
        assert shown == offsets[: len(shown)]
        assert len(shown) >= 60
        card = other.locator(f"#match-{pointed}")
        expect(card).to_have_class("card pointed")
        expect(card).to_be_focused()
        expect(card).to_be_in_viewport()
        assert other.url == f"{page.url}#match={pointed}"
    assert picture_of(other) == bitmap
    expect(other.get_by_label("Name")).to_have_value("SoundCloud")
    expect(other.get_by_label("No two that overlap")).to_be_checked()
    other.evaluate("() => { location.hash = 'match=7'; }")
    expect(other.locator("#page-alert")).to_have_text(
        "The link points at offset 7, which is not among these matches."
    )


def test_what_is_wrong_in_a_link_is_told(visit):
    wrong = {
        "bitmap=123": "bitmap is “123”; 84 digits are needed.",
        "metric=l3": "metric is “l3”; choose one of l1, l2, gray-l1, gray-l2, lightness.",
        "top=0": "top is “0”; a whole number from 1 to 1000 is needed.",
        "exact=yes": "exact is “yes”; it must be true or false.",
        "missed=-1": "missed is “-1”; a number above 0 is needed.",
        "colour=<b>red</b>": "“colour” is no parameter here; "
        "bitmap, metric, top, exact, missed, distinct, logo are.",
        "distinct=true&distinct=true": "distinct is given 2 times.",
    }
    page = visit(f"?{'&'.join(wrong)}")
    assert page.locator("#page-alert p").all_text_contents() == list(wrong.values())
    try_example(page)
    expect(page.locator("#page-alert")).to_be_hidden()
    defaults = {"metric": "l1", "top": "10", "exact": "false", "missed": "0.01"}
    assert {name: asked(page)[name] for name in defaults} == defaults


def test_an_answer_is_verified_and_a_scan_cancelled(visit, slow, bitmap):
    address, opener = slow
    page = visit(f"?bitmap={bitmap}", address=address)
    expect(page.locator("#answer-how")).to_contain_text("From the index: expected to lack")
    indexed = offsets_of(page)
    progress = page.locator("#progress")

    def verify():
        page.get_by_role("button", name="Verify exactly").click()
        expect(page.get_by_role("button", name="Cancel")).to_be_focused()
        expect(page.locator("#answer-how")).to_have_text("Comparing windows…")
        seen = progress.evaluate("(bar) => bar.value")
        page.wait_for_timeout(500)
        assert progress.evaluate("(bar) => bar.value") > seen

    verify()
    assert asked(page)["exact"] == "true"
    with pytest.raises(httpx.ReadTimeout):  # the one worker is at work
        httpx.get(f"{address}/api/v1/find", params={"bitmap": bitmap}, timeout=0.5)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#spoken")).to_have_text("Cancelled")
    began = time.monotonic()
    reply = httpx.get(f"{address}/api/v1/find", params={"bitmap": bitmap}, timeout=10)
    assert time.monotonic() - began < 1  # and is not any more
    assert [match["offset"] for match in reply.json()["matches"]] == indexed
    expect(page.locator("#answer-how")).to_contain_text("From the index")
    expect(page.get_by_role("button", name="Verify exactly")).to_be_visible()
    assert asked(page)["exact"] == "false"
    assert offsets_of(page) == indexed

    verify()
    opener.touch()
    expect(page.locator("#answer-how")).to_contain_text("Certified: every window was compared.")
    expect(page.locator("#answer-how")).to_have_text(
        re.compile(r"They are the same 10\.$|had been lacking: rank \d")
    )
    expect(page.get_by_role("button", name="Verify exactly")).to_be_hidden()
    expect(page.locator("#matches")).to_be_focused()  # what had the focus has gone
    assert asked(page)["exact"] == "true"
    assert offsets_of(page) == api_offsets(page)


def test_another_picture_ends_the_scan_of_the_last(visit, slow, bitmap):
    address, _ = slow
    page = visit(f"?bitmap={bitmap}&exact=true", address=address)
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    page.get_by_label("Compare every window").uncheck()
    answered(page)
    assert offsets_of(page) == api_offsets(page)
    page.get_by_label("Compare every window").check()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#answer")).to_be_hidden()
    began = time.monotonic()
    assert httpx.get(f"{address}/api/v1/odds", params={"bitmap": bitmap}, timeout=10)
    assert time.monotonic() - began < 1


def test_a_search_that_a_wrong_option_prevents_shows_no_progress(visit, slow, bitmap):
    page = visit(f"?bitmap={bitmap}", address=slow[0])
    answered(page)
    page.get_by_role("button", name="Verify exactly").click()
    page.get_by_label("How many").fill("0")
    page.get_by_role("gridcell", name="row 1, column 1:").click()
    expect(page.locator("#options-alert")).to_be_visible()
    expect(page.locator("#running")).to_be_hidden(timeout=2000)


def test_a_server_that_ended_is_told_and_asked_again(visit, faults, indexed_home):
    faults.expected = ["ERR_CONNECTION_REFUSED"]
    with serving(indexed_home) as (address, _):
        page = visit(address=address)
        try_example(page)
        before = offsets_of(page)
    page.get_by_role("button", name="Invert").click()
    told = "The server does not answer. Is pilogo serve still running?"
    expect(page.locator("#answer-alert")).to_have_text(told)
    assert offsets_of(page) == before
    with serving(indexed_home, "--port", str(urlsplit(address).port)):
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#answer-alert")).to_be_hidden()
        answered(page)
        assert offsets_of(page) == api_offsets(page)
        assert offsets_of(page) != before


def test_a_page_that_cannot_begin_says_so(page, faults):
    faults.expected = ["ERR_FAILED"]
    page.route("**/api/v1/info", lambda route: route.abort())
    page.reload()
    expect(page.locator("#page-alert")).to_contain_text("The server does not answer.")
    page.unroute("**/api/v1/info")
    page.locator("#page-alert").get_by_role("button", name="Try again").click()
    expect(page.locator("#page-alert")).to_be_hidden()
    try_example(page)


def test_a_busy_server_is_asked_again_after_a_while(page, faults):
    faults.expected = ["503 (Service Unavailable)"]
    busy = iter(range(1))

    def answer(route):
        if next(busy, None) is None:
            route.continue_()
        else:
            route.fulfill(
                status=503,
                headers={"retry-after": "1", "content-type": "application/problem+json"},
                body=json.dumps({"status": 503, "detail": "too many requests wait"}),
            )

    page.route("**/api/v1/find?*", answer)
    page.get_by_role("button", name="SoundCloud logo", exact=True).click()
    expect(page.locator("#answer-how")).to_have_text("The server is busy; asking again in 1 s.")
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


def test_a_drag_of_a_finger_paints(visit):
    page = visit(**PHONE)
    ends = [dict(zip("xy", centre(page, *place), strict=True)) for place in ((1, 1), (6, 1))]
    session = page.context.new_cdp_session(page)
    for kind, points in (("Start", ends[:1]), ("Move", ends[1:]), ("End", [])):
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    expect(page.get_by_role("gridcell", name="row 6, column 1: shade 9")).to_be_visible()
    assert picture_of(page) == ("9" + "0" * 13) * 6
    assert page.evaluate("() => scrollY") == 0


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


def test_what_is_taken_along_is_what_was_found(page):
    try_example(page)
    answer = api_answer(page)

    def taken(role, name):
        with page.expect_download() as download:
            page.get_by_role(role, name=name).click()
        return download.value.suggested_filename, download.value.path().read_bytes()

    name, sheet = taken("link", "Contact sheet (PNG)")
    assert name == "pilogo-SoundCloud.png"
    assert sheet.startswith(b"\x89PNG\r\n\x1a\n")
    name, text = taken("button", "Result (JSON)")
    assert name == "pilogo-SoundCloud.json"
    saved = json.loads(text)
    assert saved.pop("seconds") > 0
    del answer["seconds"]
    assert saved == answer
    name, digits = taken("button", "Digits (text)")
    assert name == "pilogo-SoundCloud.txt"
    assert digits.decode().split() == [match["sequence"] for match in answer["matches"]]


def test_the_odds_are_those_of_the_api(page, address, bitmap):
    try_example(page)
    page.get_by_text("What to expect of this picture").click()
    rows = page.locator("#odds-rows tr")
    odds = httpx.get(f"{address}/api/v1/odds", params={"bitmap": bitmap}).json()
    expect(rows).to_have_count(len(odds["odds"]))
    here = next(row for row in odds["odds"] if row["digits"] == 10**7)
    expect(page.locator("#odds-rows tr.here td").first).to_have_text(f"{here['best']:g}")
    expect(page.locator("#odds-plot")).to_have_js_property("naturalWidth", 1200)


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
