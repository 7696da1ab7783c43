"""Chromium for the tests of the page: found, started, watched, and told what a person would do."""

import base64
import contextlib
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

# Whoever imports this module is skipped where playwright is missing.
sync_api = pytest.importorskip(
    "playwright.sync_api", reason="no playwright: pip install 'pilogo[test]'"
)
expect = sync_api.expect

LOGO = Path(__file__).parents[2] / "data" / "soundcloud.png"
BLANK = "0" * 84
VIEWS = ("Side by side", "Overlaid", "Difference", "In context")
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE_MS = 20_000
_MOST_TABS = 60
# Refused by the policy: said on the console, where Faults hears it.
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation",
  (event) => console.error(`policy ${event.violatedDirective}: ${event.blockedURI}`));
"""
_CONTROLS = {
    "button", "checkbox", "combobox", "DisclosureTriangle", "grid", "gridcell", "img", "image",
    "link", "progressbar", "ProgressIndicator", "radio", "slider", "spinbutton", "textbox",
}  # fmt: skip
# A pilogo whose index always answers, and whose scan lasts until the file that opens it is there.
_SLOW = """#!{python}
import pathlib, time
from indexer.progress import Step
from query import entry, finder, shards

scan = shards.LocalShards.scan

def slow_scan(self, table, best, progress=None):
    for done in range(200):
        if pathlib.Path({opener!r}).exists():
            break
        progress(Step("scan", done, 200, "windows"))
        time.sleep(0.1)
    return scan(self, table, best, progress)

shards.LocalShards.scan = slow_scan
finder.expected_seconds = lambda *arguments: 10.0
entry.main()
"""


def find_chromium() -> str:
    """The program to start; skips the test where there is none."""
    named = os.environ.get("PILOGO_CHROMIUM")
    found = next(filter(None, map(shutil.which, [named] if named else _NAMES)), None)
    if found is None:
        pytest.skip(
            f"no Chromium: {named or ', '.join(_NAMES)} cannot be run; apt-get install chromium, "
            "or let PILOGO_CHROMIUM name one"
        )
    return found


@contextlib.contextmanager
def chromium() -> Iterator["Browser"]:
    """A running Chromium; skips the test where there is none."""
    program = find_chromium()
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        yield browser
        browser.close()


class Faults:
    """What pages did that they must not: requests that leave, refusals by the policy, errors.

    expected are words of the faults that a test brings about itself.
    """

    def __init__(self) -> None:
        self.expected: list[str] = []
        self._found: list[str] = []

    def watch(self, context: "BrowserContext", address: str) -> None:
        """Listen to every page of a context that may ask this address alone."""
        own = (f"{address}/", f"blob:{address}/", "data:")
        context.add_init_script(_TELL_VIOLATIONS)

        def requested(request):
            if not request.url.startswith(own):
                self._found.append(f"request to {request.url}")

        def said(message):
            if message.type in {"error", "warning"}:
                self._found.append(f"console: {message.text}")

        context.on("request", requested)
        context.on("console", said)
        context.on("weberror", lambda error: self._found.append(f"uncaught: {error.error}"))

    def unexpected(self) -> list[str]:
        """The faults that no test has expected."""
        return [
            fault for fault in self._found if not any(words in fault for words in self.expected)
        ]


def write_slow_program(path: Path, opener: Path) -> Path:
    """A program in place of pilogo, its scan lasting 20 s or until the file `opener` is there."""
    path.write_text(_SLOW.format(python=sys.executable, opener=str(opener)), "utf-8")
    path.chmod(0o755)
    return path


def picture_of(page: "Page") -> str:
    """The digits of the grid's cells."""
    return "".join(page.get_by_role("gridcell").all_text_contents())


def offsets_of(page: "Page") -> list[int]:
    """The offsets of the cards, in order."""
    ids = page.locator(".card").evaluate_all("cards => cards.map((card) => card.id)")
    return [int(name.removeprefix("match-")) for name in ids]


def drop(target: "Locator", path: Path, kind: str) -> None:
    """Drop a file on an element, as dragging it in does; returns before it is read."""
    content = base64.b64encode(path.read_bytes()).decode()
    target.evaluate(
        """(target, [content, name, type]) => {
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], name, { type }));
          const options = { dataTransfer, bubbles: true, cancelable: true };
          for (const event of ["dragenter", "dragover", "drop"])
            target.dispatchEvent(new DragEvent(event, options));
        }""",
        [content, path.name, kind],
    )


def tab_to(page: "Page", target: "Locator", key: str = "Tab") -> None:
    """Press Tab until the element has the focus."""
    for _ in range(_MOST_TABS):
        page.keyboard.press(key)
        if target.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"{_MOST_TABS} times {key} do not lead to {target}")


def unnamed_controls(page: "Page", least: int = 85) -> list[str]:
    """Roles of the controls and pictures without a name, of at least so many that are shown."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    seen = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in _CONTROLS
    ]
    assert len(seen) >= least, "the tree is not that of the page"
    return [role for role, name in seen if not name.strip()]


def reach_sideways(page: "Page") -> float:
    """By how many CSS pixels the page, or the dialog on it, is wider than the window."""
    return page.evaluate(
        """() => Math.max(...[document.documentElement, document.querySelector("dialog")].map(
          (box) => box.scrollWidth - box.clientWidth))"""
    )


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
