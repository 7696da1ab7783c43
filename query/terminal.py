"""What a terminal can show: lines of styled spans, pictures as half blocks or characters.

A Line is a list of Spans (text, SGR parameters). Widths are counted in terminal columns before any
escape code is written, so no line can grow past the width it was laid out for.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby, zip_longest
from typing import Literal, NamedTuple

from indexer.window import HEIGHT, WIDTH
from query.palette import GREYS
from query.wording import clip, columns_of

Style = Literal["colour", "plain-pictures", "compact"]

BOLD = "1"
DIM = "2"

# Light to dark, as ink on paper: one character a shade.
RAMP = " .:-=+*#%@"


class Span(NamedTuple):
    """A piece of one line, and the SGR parameters it is shown with ("" for none)."""

    text: str
    sgr: str = ""


Line = list[Span]


def choose_style(
    is_terminal: bool, environ: Mapping[str, str], encoding: str | None = "utf-8"
) -> Style:
    """How standard output can be written to.

    NO_COLOR or CLICOLOR=0 take the colours away; FORCE_COLOR or CLICOLOR_FORCE (neither of them
    "0") give them to a pipe and to TERM=dumb; NO_COLOR wins over both. encoding is the stream's:
    one without half blocks gets the compact table, which needs ASCII only.
    """
    try:
        "▀π…".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "compact"
    refused = bool(environ.get("NO_COLOR")) or environ.get("CLICOLOR") == "0"
    forced = any(
        environ.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")
    )
    if forced and not environ.get("NO_COLOR"):
        return "colour"
    if not is_terminal:
        return "compact"
    return "plain-pictures" if refused or environ.get("TERM") == "dumb" else "colour"


def rows_of(digits: str) -> list[str]:
    """84 digits as 6 rows of 14."""
    return [digits[row * WIDTH : (row + 1) * WIDTH] for row in range(HEIGHT)]


def half_blocks(digits: str) -> list[Line]:
    """A picture in 14 columns and 3 lines, two pixels to a character.

    ▀ has the upper pixel's grey and its background the lower's. Both are 24-bit colours of
    the palette, so it looks the same on a light and a dark terminal.
    """
    rows = rows_of(digits)
    return [
        [
            Span("▀" * len(list(same)), f"38;2;{_grey(upper)};48;2;{_grey(lower)}")
            for (upper, lower), same in groupby(zip(rows[top], rows[top + 1], strict=True))
        ]
        for top in range(0, HEIGHT, 2)
    ]


def full_blocks(digits: str, columns: int) -> list[Line]:
    """A picture with `columns` columns and half as many lines a pixel; columns is even."""
    lines: list[Line] = []
    for row in rows_of(digits):
        line = [
            Span(" " * (columns * len(list(same))), f"48;2;{_grey(digit)}")
            for digit, same in groupby(row)
        ]
        lines += [line] * (columns // 2)
    return lines


def characters(digits: str, columns: int = 2) -> list[Line]:
    """A picture in characters from light to dark, `columns` wide and half as tall a pixel."""
    lines: list[Line] = []
    for row in rows_of(digits):
        lines += [[Span("".join(RAMP[int(d)] * columns for d in row))]] * (columns // 2)
    return lines


def line_width(line: Line) -> int:
    """Terminal columns of a line."""
    return sum(columns_of(span.text) for span in line)


def clip_line(line: Line, width: int) -> Line:
    """The line, cut with "…" where it is wider than width."""
    if line_width(line) <= width:
        return line
    clipped: Line = []
    left = width
    for span in line:
        needed = columns_of(span.text)
        if needed >= left:  # something is cut here or follows: leave room for the "…"
            clipped.append(Span(clip(span.text + " ", left), span.sgr))
            break
        clipped.append(span)
        left -= needed
    return clipped


def beside(
    left: Sequence[Line], right: Sequence[Line], left_width: int, gap: int = 2
) -> list[Line]:
    """Two blocks of lines next to each other; the left one is padded to left_width."""
    joined: list[Line] = []
    for one, other in zip_longest(left, right, fillvalue=None):
        line = list(one or [])
        if other:
            line += [Span(" " * (left_width - line_width(line) + gap)), *other]
        joined.append(line)
    return joined


def paint(lines: Sequence[Line], *, escapes: bool) -> str:
    """The lines as text without a final newline; without escapes, the bare characters."""
    painted = []
    for line in lines:
        if escapes:
            text = "".join(f"\x1b[{s.sgr}m{s.text}\x1b[0m" if s.sgr else s.text for s in line)
        else:
            text = "".join(span.text for span in line)
        painted.append(text if escapes else text.rstrip())
    return "\n".join(painted)


def _grey(digit: str) -> str:
    grey = GREYS[int(digit)]
    return f"{grey};{grey};{grey}"
