"""query/svg.py: drawings read right; nothing outside the document is touched; nothing hangs."""

import io
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from indexer.errors import LogoError
from indexer.packaged import data_file
from indexer.window import HEIGHT, WIDTH
from query import svg
from query.bitmap import format_digits, read_logo
from query.palette import GREYS

NAMES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
BOX = '<rect width="14" height="6"/>'
BLACK_LEFT = "99999990000000" * 6


def drawing(body: str, size: str = 'viewBox="0 0 28 12"') -> str:
    return f"<svg {NAMES} {size}>{body}</svg>"


def doubled_use(levels: int) -> str:
    groups = "".join(
        f'<g id="g{i}"><use xlink:href="#g{i - 1}"/><use xlink:href="#g{i - 1}"/></g>'
        for i in range(1, levels)
    )
    return drawing(f'<g id="g0"><rect width="1" height="1"/></g>{groups}')


def read(folder: Path, document: str | bytes) -> str:
    file = folder / "logo.svg"
    file.write_bytes(document if isinstance(document, bytes) else document.encode())
    return format_digits(read_logo(file))


LEFT = '<rect width="14" height="12"/>'
DRAWN = {
    "plain": drawing(LEFT),
    "declaration, comment, public DOCTYPE": '<?xml version="1.0" encoding="UTF-8"?>\n<!-- a -->\n'
    '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://127.0.0.1:9/svg11.dtd">'
    + drawing(LEFT),
    "prefix": '<s:svg xmlns:s="http://www.w3.org/2000/svg" viewBox="0 0 28 12">'
    '<s:rect width="14" height="12"/></s:svg>',
    "a link": drawing(f'<a xlink:href="https://example.org/">{LEFT}</a>'),
    "a gradient by name": drawing(
        '<linearGradient id="a"><stop stop-color="black"/></linearGradient>'
        "<style>.b { fill: url( '#a' ) }</style>"
        '<rect class="b" width="14" height="12"/>'
    ),
    "an empty text, a title": drawing(f"<title>logo</title><text> </text>{LEFT}"),
    "100 levels": drawing("<g>" * 98 + LEFT + "</g>" * 98),
    "huge size": drawing(LEFT, 'viewBox="0 0 28 12" width="1e9" height="428571428.57"'),
}


@pytest.mark.parametrize("case", DRAWN)
def test_drawings_are_read(case: str, tmp_path: Path) -> None:
    assert read(tmp_path, DRAWN[case]) == BLACK_LEFT


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_with_a_mark_are_read(encoding: str, tmp_path: Path) -> None:
    assert read(tmp_path, drawing(LEFT).encode(encoding)) == BLACK_LEFT


def test_a_bitmap_drawn_as_squares_comes_back_exactly(tmp_path: Path) -> None:
    digits = format_digits(read_logo(data_file("soundcloud.png")))
    squares = "".join(
        f'<rect x="{i % WIDTH}" y="{i // WIDTH}" width="1" height="1" '
        f'fill="rgb({GREYS[int(d)]},{GREYS[int(d)]},{GREYS[int(d)]})"/>'
        for i, d in enumerate(digits)
    )
    assert read(tmp_path, drawing(squares, f'viewBox="0 0 {WIDTH} {HEIGHT}"')) == digits


def test_what_is_not_painted_is_white_and_trimmed(tmp_path: Path) -> None:
    assert read(tmp_path, drawing("")) == "0" * 84
    assert read(tmp_path, drawing('<rect x="4" y="3" width="14" height="6"/>')) == "9" * 84


REFUSED = {
    "entities": (
        '<!DOCTYPE svg [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;">]>' + drawing("<text>&c;</text>"),
        "declarations inside its DOCTYPE; none are allowed",
    ),
    "external entity": (
        '<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + drawing("<text>&a;</text>"),
        "declarations inside its DOCTYPE",
    ),
    "empty subset": ("<!DOCTYPE svg []>" + drawing(BOX), "declarations inside its DOCTYPE"),
    "undefined entity": (drawing("&a;"), "is a damaged SVG (undefined entity"),
    "http image": (
        drawing('<image href="http://127.0.0.1:9/a.png" width="2" height="2"/>'),
        "<image> referring to 'http://127.0.0.1:9/a.png'; only #names and",
    ),
    "file image": (drawing('<image xlink:href=" /etc/a.png"/>'), "referring to '/etc/a.png'"),
    "file url": (drawing('<image xlink:href="file:///a.png"/>'), "referring to 'file:///a.png'"),
    "feImage": (drawing('<filter id="f"><feImage href="a.png"/></filter>'), "<feImage> referring"),
    "use of a file": (drawing('<use xlink:href="a.svg#b"/>'), "<use> referring to 'a.svg#b'"),
    "svg within": (drawing('<image href="data:image/svg+xml,x"/>'), "'data:image/svg+xml,x'"),
    "any data": (drawing('<image href="data:text/plain,x"/>'), "'data:text/plain,x'"),
    "import": (drawing('<style>@import "a.css";</style>'), "'@import \"a.css\";'; only url("),
    "url in a style": (drawing("<style>a{fill:URL( http://x )}</style>"), "'URL( http://x )}'"),
    "url in an attribute": (drawing("<g style=\"fill:url('b.svg#a')\"/>"), "b.svg#a"),
    "style sheet": ('<?xml-stylesheet href="a.css"?>' + drawing(BOX), "a style sheet from another"),
    "text": (drawing("<text>Acme <tspan>b</tspan></text>"), "the text 'Acme', which needs fonts"),
    "nested": (drawing("<g>" * 100 + "</g>" * 100), "nested more than 100 deep"),
    "web page": ("<!DOCTYPE html><html></html>", "the root element <html>; <svg> is needed"),
    "cut off": (drawing(LEFT)[:-5], "is a damaged SVG (unclosed token"),
    "no size": (drawing(LEFT, 'width="-1" height="2"'), "cannot be drawn (SVG has an invalid size"),
    "deep use": (doubled_use(30), "cannot be drawn ("),
    "too many bytes": (drawing(" " * 2_000_000), "is more than 2,000,000 bytes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_hostile_and_odd_drawings_are_refused_in_one_line(case: str, tmp_path: Path) -> None:
    document, sentence = REFUSED[case]
    begun = time.monotonic()
    with pytest.raises(LogoError) as caught:
        read(tmp_path, document)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "logo.svg is" in str(caught.value)
    assert time.monotonic() - begun < 5


SLOW = drawing(
    '<filter id="f"><feTurbulence numOctaves="100000" baseFrequency="1"/></filter>'
    '<rect filter="url(#f)" width="14" height="12"/>'
)


def test_a_drawing_that_takes_forever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert svg.DRAW_SECONDS <= 4
    monkeypatch.setattr(svg, "DRAW_SECONDS", 0.5)
    begun = time.monotonic()
    with pytest.raises(LogoError, match=r"a\.svg takes longer to draw than the 0\.5 seconds"):
        svg.draw_svg(SLOW, "a.svg")
    assert time.monotonic() - begun < 3


def test_a_crash_of_the_painter_is_an_error_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 levels overflow resvg's stack: SIGSEGV, in the process where it does no harm."""
    monkeypatch.setattr(svg, "MAX_DEPTH", 10**6)
    document = drawing("<g>" * 20_000 + "</g>" * 20_000)
    with pytest.raises(LogoError, match=r"a\.svg needs more memory or nesting than allowed"):
        svg.draw_svg(document, "a.svg")


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits there")
def test_the_painter_opens_no_file_even_where_the_check_would_miss_it(tmp_path: Path) -> None:
    import resvg_py

    Image.new("RGB", (28, 12), "red").save(tmp_path / "red.png")
    document = drawing(f'<image href="{tmp_path / "red.png"}" width="28" height="12"/>')
    painter = Path(svg.__file__).with_name("svg_painter.py")
    done = subprocess.run(
        [sys.executable, "-I", str(painter)],
        input=document.encode(),
        capture_output=True,
        check=True,
        timeout=10,
    )

    def middle(data: bytes) -> tuple[int, ...]:
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGBA").getpixel((560, 240))  # type: ignore[return-value]

    free = resvg_py.svg_to_bytes(svg_string=document, width=1120, height=1120)
    assert middle(bytes(free)) == (255, 0, 0, 255)
    assert middle(done.stdout) == (0, 0, 0, 0)
