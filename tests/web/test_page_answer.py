"""The answer on the page: matches, comparison, context, links, files, verification."""

import json

import httpx

from browser import (
    answered,
    api_answer,
    api_offsets,
    asked,
    expect,
    find,
    in_rows,
    offsets_of,
    picture_of,
    try_example,
    unnamed_controls,
)


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
