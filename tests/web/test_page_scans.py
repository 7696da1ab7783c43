"""Scans and servers that let the page wait: progress, cancelling, busy, gone."""

import json
import re
import time
from urllib.parse import urlsplit

import httpx
import pytest

from browser import (
    answered,
    api_offsets,
    asked,
    expect,
    inverse,
    offsets_of,
    picture_of,
    shows,
    try_example,
)
from served import serving


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


def test_matches_of_an_earlier_question_are_called_so(visit, slow, bitmap):
    page = visit(f"?bitmap={bitmap}", address=slow[0])
    answered(page)
    before, offsets = page.url, offsets_of(page)
    earlier = page.get_by_text("These matches are of an earlier question.")
    back = page.get_by_role("button", name="Back to that question")
    exact = page.get_by_label("Compare every window")

    def cancel_and_look(picture):
        page.get_by_role("button", name="Cancel").click()
        expect(earlier).to_be_visible()
        expect(page.get_by_role("button", name="Verify exactly")).to_be_hidden()
        expect(exact).to_be_checked()
        assert (page.url, offsets_of(page), picture_of(page)) == (before, offsets, picture)

    exact.check()
    cancel_and_look(bitmap)
    with page.expect_request("**/api/v1/find?*"):
        page.get_by_role("button", name="Invert").click()
    cancel_and_look(inverse(bitmap))

    asks = []
    page.on("request", lambda request: asks.append(request.url))
    back.click()
    expect(earlier).to_be_hidden()
    expect(back).to_be_hidden()
    expect(page.locator("#matches")).to_be_focused()
    expect(exact).not_to_be_checked()
    expect(page.get_by_role("button", name="Verify exactly")).to_be_visible()
    shows(page, bitmap)
    page.get_by_role("button", name="Invert").click()
    page.get_by_role("button", name="Undo").click()  # before it is asked
    page.wait_for_timeout(500)
    assert (page.url, offsets_of(page)) == (before, offsets)
    assert asks == []
    expect(page.locator("#answer-how")).to_contain_text("From the index")


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
    expect(page.get_by_text("These matches are of an earlier question.")).to_be_visible()
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


def test_an_event_that_says_to_ask_again_is_heeded(page):
    late = iter([{"status": 503, "detail": "it waited too long", "retry_after": 1}])

    def answer(route):
        told = next(late, None)
        if told is None:
            route.continue_()
        else:
            route.fulfill(
                headers={"content-type": "text/event-stream"},
                body=f"event: problem\ndata: {json.dumps(told)}\n\n",
            )

    page.route("**/api/v1/find?*", answer)
    page.get_by_role("button", name="SoundCloud logo", exact=True).click()
    expect(page.locator("#answer-how")).to_have_text("The server is busy; asking again in 1 s.")
    answered(page)
    assert offsets_of(page) == api_offsets(page)
