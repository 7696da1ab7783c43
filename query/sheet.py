"""A contact sheet of an answer: the reference and the best match large, the others in a grid.

`lay_out` decides where every picture stands, `draw_sheet` draws there; a test or a page that needs
to know which pixel of the sheet is which pixel of a match asks the Layout.
"""

from dataclasses import dataclass

from PIL import Image, ImageDraw

from indexer.window import HEIGHT, SHADES, WIDTH
from query.answer import Answer, Match
from query.lettering import INK, PAPER, SOFT, Colour, Pen, draw_text, ellipsise, font, measure
from query.metrics import METRICS
from query.palette import GREYS
from query.wording import (
    format_distance,
    format_expected,
    format_seconds,
    how_got,
    how_many,
    name_of,
    symbol_of,
    title_of,
    where_from,
)

MAX_SHOWN = 100

SHEET_WIDTH = 1600
MARGIN = 80
COLUMNS = 3
LARGE_PIXEL = 49  # two pictures of 14 × 49 and a gap fill the 1,440 between the margins
SMALL_PIXEL = 32  # three of 14 × 32 and two gaps of 48 do
_SMALL_GAP = (SHEET_WIDTH - 2 * MARGIN - COLUMNS * WIDTH * SMALL_PIXEL) // (COLUMNS - 1)

_HEADER = 276  # from the top edge to the large pictures
_LARGE_CAPTION = 142
_SMALL_CAPTION = 118
_FOOTER = 200
_SWATCH = 28  # side of a square of the scale of shades

ACCENT: Colour = (255, 85, 0)  # for shapes
ACCENT_INK: Colour = (194, 62, 0)  # for letters: 5.0 : 1 on PAPER
RULE: Colour = (221, 216, 208)

# The grey a digit is written in upon its own shade: there for who looks closely, no more.
_DIGIT_GREYS = (214, 201, 197, 174, 160, 138, 107, 117, 88, 62)

_WHAT_IT_IS = (
    "84 decimals in a row make a picture of 14 × 6 pixels, each digit a shade. "
    "Offsets count from 1 after the point."
)
_WHAT_DISTANCE_IS = "Distance 0 is a perfect copy."
_WHAT_COST_IS = "The smaller the distance, the closer."  # a --costs table may go below 0
_WHAT_E_IS = "E-value: how many windows this close or closer as many random decimals would hold."


@dataclass(frozen=True)
class Tile:
    """A picture on the sheet: its corner and the side of its square pixels, in sheet pixels."""

    left: int
    top: int
    pixel: int
    digits: str

    @property
    def width(self) -> int:
        """Width in sheet pixels."""
        return WIDTH * self.pixel

    @property
    def height(self) -> int:
        """Height in sheet pixels."""
        return HEIGHT * self.pixel

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Top left corner of one picture pixel on the sheet."""
        return self.left + column * self.pixel, self.top + row * self.pixel


@dataclass(frozen=True)
class Layout:
    """Where the pictures of a sheet are: matches[0] is the best, beside the reference."""

    width: int
    height: int
    reference: Tile
    matches: tuple[Tile, ...]


def lay_out(answer: Answer) -> Layout:
    """Places for the reference and the first MAX_SHOWN matches."""
    reference = Tile(MARGIN, _HEADER, LARGE_PIXEL, answer.bitmap)
    tiles: list[Tile] = []
    grid_top = _HEADER + reference.height + _LARGE_CAPTION
    for index, match in enumerate(answer.matches[:MAX_SHOWN]):
        if index == 0:
            left = SHEET_WIDTH - MARGIN - reference.width
            tiles.append(Tile(left, _HEADER, LARGE_PIXEL, match.sequence))
            continue
        row, column = divmod(index - 1, COLUMNS)
        left = MARGIN + column * (WIDTH * SMALL_PIXEL + _SMALL_GAP)
        top = grid_top + row * (HEIGHT * SMALL_PIXEL + _SMALL_CAPTION)
        tiles.append(Tile(left, top, SMALL_PIXEL, match.sequence))
    rows = -(-max(0, len(tiles) - 1) // COLUMNS)
    height = grid_top + rows * (HEIGHT * SMALL_PIXEL + _SMALL_CAPTION) + _FOOTER
    return Layout(SHEET_WIDTH, height, reference, tuple(tiles))


def draw_sheet(answer: Answer) -> Image.Image:
    """The contact sheet as an RGB image, 1,600 pixels wide; more matches make it longer.

    Raises RuntimeError where Pillow has no scalable type (see lettering.font).
    """
    layout = lay_out(answer)
    sheet = Image.new("RGB", (layout.width, layout.height), PAPER)
    draw = ImageDraw.Draw(sheet)
    _draw_header(draw, answer)
    _draw_picture(draw, layout.reference)
    _caption_reference(draw, layout.reference, answer)
    for tile, match in zip(layout.matches, answer.matches, strict=False):
        _draw_picture(draw, tile)
        _caption_match(draw, tile, match, large=match is answer.matches[0])
    _draw_footer(draw, answer, layout)
    return sheet


def _draw_header(draw: ImageDraw.ImageDraw, answer: Answer) -> None:
    """The title, with the constant as its one coloured word, and what was searched."""
    room = SHEET_WIDTH - 2 * MARGIN
    symbol = symbol_of(answer.constant)
    tail = f", found in {symbol}"
    name = ellipsise(title_of(answer.logo), 76, room - measure(tail, 76))
    left: float = MARGIN
    left += draw_text(draw, (left, 146), name, Pen(76, INK))
    left += draw_text(draw, (left, 146), ", found in ", Pen(76, INK))
    draw_text(draw, (left, 146), symbol, Pen(76, ACCENT))
    said = f"{how_many(answer)} in {where_from(answer)}"
    draw_text(draw, (MARGIN, 212), ellipsise(said[0].upper() + said[1:], 30, room), Pen(30, SOFT))


def _draw_picture(draw: ImageDraw.ImageDraw, tile: Tile) -> None:
    """The picture as crisp squares in a hairline frame, each with its digit faintly on it."""
    size = tile.pixel * 2 // 5
    frame = (tile.left - 1, tile.top - 1, tile.left + tile.width, tile.top + tile.height)
    draw.rectangle(frame, outline=RULE)
    for index, digit in enumerate(tile.digits):
        left, top = tile.corner(*divmod(index, WIDTH))
        grey, ink = GREYS[int(digit)], _DIGIT_GREYS[int(digit)]
        draw.rectangle((left, top, left + tile.pixel - 1, top + tile.pixel - 1), fill=(grey,) * 3)
        middle = (left + tile.pixel / 2, top + tile.pixel / 2)
        draw.text(middle, digit, font=font(size), fill=(ink,) * 3, anchor="mm")


def _caption_reference(draw: ImageDraw.ImageDraw, tile: Tile, answer: Answer) -> None:
    """What the large picture on the left is, and the ten shades with their digits."""
    under = tile.top + tile.height
    scale_left = tile.left + tile.width - SHADES * _SWATCH
    name = ellipsise(name_of(answer.logo), 26, scale_left - tile.left - 24)
    draw_text(draw, (tile.left, under + 52), "The picture", Pen(40, INK))
    draw_text(draw, (tile.left, under + 92), name, Pen(26, SOFT))
    box = (scale_left - 1, under + 25, scale_left + SHADES * _SWATCH, under + 26 + _SWATCH)
    draw.rectangle(box, outline=RULE)
    for digit, grey in enumerate(GREYS):
        left = scale_left + digit * _SWATCH
        swatch = (left, under + 26, left + _SWATCH - 1, under + 25 + _SWATCH)
        draw.rectangle(swatch, fill=(grey,) * 3)
        draw_text(draw, (left + _SWATCH / 2, under + 92), str(digit), Pen(23, SOFT, "middle"))


def _caption_match(draw: ImageDraw.ImageDraw, tile: Tile, match: Match, *, large: bool) -> None:
    """Rank, offset, distance and E-value under a match."""
    size, small = (40, 26) if large else (32, 23)
    first = tile.top + tile.height + (52 if large else 42)
    second = first + (40 if large else 34)
    rank = draw_text(draw, (tile.left, first), str(match.rank), Pen(size, ACCENT_INK))
    offset = ellipsise(f"{match.offset:,d}", size, tile.width - rank - size // 2)
    draw_text(draw, (tile.left + rank + size // 2, first), offset, Pen(size, INK))
    facts = (
        f"distance {format_distance(match.distance)} · E-value {format_expected(match.expected)}"
    )
    draw_text(draw, (tile.left, second), ellipsise(facts, small, tile.width), Pen(small, SOFT))


def _draw_footer(draw: ImageDraw.ImageDraw, answer: Answer, layout: Layout) -> None:
    """How the answer was got, what the numbers mean, and whose sheet this is."""
    top = layout.height - _FOOTER
    draw.line((MARGIN, top, SHEET_WIDTH - MARGIN, top), fill=RULE, width=2)
    got = how_got(answer)
    parts = [got[0].upper() + got[1:], f"metric {answer.metric}", format_seconds(answer.seconds)]
    if len(answer.matches) > MAX_SHOWN:
        parts.append(f"first {MAX_SHOWN} of {len(answer.matches):,d} matches shown")
    right = SHEET_WIDTH - MARGIN
    mark = draw_text(draw, (right, top + 58), "pilogo", Pen(34, ACCENT_INK, "right"))
    line = ellipsise(" · ".join(parts), 26, right - MARGIN - mark - 40)
    draw_text(draw, (MARGIN, top + 56), line, Pen(26, INK))
    draw_text(draw, (MARGIN, top + 100), _WHAT_IT_IS, Pen(23, SOFT))
    distance = _WHAT_DISTANCE_IS if answer.metric in METRICS else _WHAT_COST_IS
    draw_text(draw, (MARGIN, top + 134), f"{distance} {_WHAT_E_IS}", Pen(23, SOFT))
