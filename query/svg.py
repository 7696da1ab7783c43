"""SVG drawings as PNG bytes: read for what they ask first, then drawn in a confined process.

Why a process of its own: 500 nested groups overflow resvg's stack (SIGSEGV), and one turbulence
or morphology filter keeps it busy for minutes; neither can be stopped from inside.
"""

import re
import subprocess
import sys
from pathlib import Path
from xml.parsers import expat

from indexer.errors import LogoError

MAX_SVG_BYTES = 2_000_000
MAX_DEPTH = 100
# With the check and the start of the process, a hostile file is answered within 5 seconds.
DRAW_SECONDS = 4.0

_PAINTER = Path(__file__).with_name("svg_painter.py")
_PICTURE_DATA = re.compile(r"data:image/(png|jpe?g|gif|webp)[;,]", re.IGNORECASE)
_OUTSIDE_STYLE = re.compile(r"@import|url\(\s*[\"']?\s*(?!#)[^\s\"']", re.IGNORECASE)
_TO_PNG = "save it as PNG"


def draw_svg(text: str, name: str) -> bytes:
    """PNG bytes of an SVG document, transparent where it paints nothing, at most 1120×1120.

    Raises LogoError, with `name` in front, for what check_svg refuses, for what resvg cannot draw,
    and after 4 seconds.
    """
    check_svg(text, name)
    try:
        # Our own file under our own interpreter, no shell; the document goes in by the pipe.
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-I", str(_PAINTER)],
            input=text.encode(),
            capture_output=True,
            timeout=DRAW_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LogoError(
            f"{name} takes longer to draw than the {DRAW_SECONDS:g} seconds allowed; {_TO_PNG}"
        ) from None
    except OSError as error:
        raise LogoError(
            f"{name} cannot be drawn, no process starts ({error}); {_TO_PNG}"
        ) from error
    if done.returncode < 0:
        raise LogoError(
            f"{name} needs more memory or nesting than allowed (signal {-done.returncode}); "
            f"{_TO_PNG}"
        )
    if done.returncode > 0:
        lines = done.stderr.decode(errors="replace").splitlines() or ["no reason given"]
        raise LogoError(f"{name} is an SVG that cannot be drawn ({lines[-1][:120]}); {_TO_PNG}")
    return done.stdout


def check_svg(text: str, name: str) -> None:
    """Raise LogoError where an SVG declares entities or needs anything outside of itself.

    Refused: entities and other declarations inside DOCTYPE, references other than #names and
    data:image of PNG, JPEG, GIF or WebP (a link, `<a href>`, is no reference), style sheets from
    elsewhere, text (it needs fonts, and would be left out), more than 100 levels. O(characters).
    """
    try:
        _Reader(name).read(text)
    except expat.ExpatError as error:
        raise LogoError(f"{name} is a damaged SVG ({error}); save it again") from error


class _Reader:
    """One pass over a document; the first thing that is not allowed is raised as LogoError."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._path: list[str] = []
        self._style: list[str] = []

    def read(self, text: str) -> None:
        """Check the whole document."""
        parser = expat.ParserCreate("UTF-8")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._entity
        parser.ProcessingInstructionHandler = self._instruction
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.Parse(text.encode(), True)

    def _refuse(self, what: str, instead: str = _TO_PNG) -> None:
        raise LogoError(f"{self._name} is an SVG with {what}; {instead}")

    def _doctype(self, _root: str, _system: str | None, _public: str | None, subset: int) -> None:
        if subset:
            self._refuse("declarations inside its DOCTYPE; none are allowed")

    def _entity(self, entity: str, *_rest: object) -> None:
        self._refuse(f"the entity {entity[:40]!r}; none are allowed")

    def _instruction(self, target: str, _data: str) -> None:
        if target == "xml-stylesheet":
            self._refuse("a style sheet from another file; only <style> is read")

    def _start(self, element: str, attributes: dict[str, str]) -> None:
        local = element.rpartition(":")[2]
        if not self._path and local != "svg":
            self._refuse(f"the root element <{element[:40]}>; <svg> is needed")
        self._path.append(local)
        if len(self._path) > MAX_DEPTH:
            self._refuse(f"elements nested more than {MAX_DEPTH} deep")
        for attribute, value in attributes.items():
            if attribute.rpartition(":")[2] == "href":
                self._check_reference(local, value.strip())
            elif not attribute.startswith("xmlns"):
                self._check_style(value)

    def _check_reference(self, local: str, value: str) -> None:
        if local != "a" and value and not value.startswith("#") and not _PICTURE_DATA.match(value):
            self._refuse(
                f"<{local[:40]}> referring to {value[:60]!r}; only #names and "
                "data:image/png, jpeg, gif, webp are allowed",
                "embed the picture or " + _TO_PNG,
            )

    def _check_style(self, style: str) -> None:
        outside = _OUTSIDE_STYLE.search(style)
        if outside:
            self._refuse(f"{style[outside.start() :][:60]!r}; only url(#name) is allowed")

    def _end(self, _element: str) -> None:
        if self._path.pop() == "style":
            self._check_style("".join(self._style))
            self._style.clear()

    def _characters(self, characters: str) -> None:
        if "style" in self._path:
            self._style.append(characters)
        elif characters.strip() and "text" in self._path:
            self._refuse(
                f"the text {characters.strip()[:40]!r}, which needs fonts and is not drawn",
                "turn the text into paths or " + _TO_PNG,
            )
