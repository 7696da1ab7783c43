"""Text on pictures: Pillow's own typeface, and the few signs that it lacks.

The embedded typeface (Aileron) has ASCII and little more, so that π would come out as an empty box.
π, √, φ, × and – are drawn here as strokes in the weight of the letters beside them; raised figures
are small ones lifted; other letters lose their accents (é → e), and what still has no shape
becomes "?".
No typeface of the machine is used: the same answer gives the same picture everywhere.
"""

import unicodedata
from functools import cache, lru_cache
from typing import Literal, NamedTuple

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

PAPER: Colour = (250, 248, 244)
INK: Colour = (28, 27, 25)
SOFT: Colour = (99, 94, 87)  # 6.1 : 1 on PAPER

_STROKE = 0.085  # of an em: the stem of the typeface's regular weight
_OVERSAMPLE = 8
_DESCENT = 0.25

# Polylines in ems, x from the left, y up from the baseline, and the width to move on.
_SIGNS: dict[str, tuple[float, list[list[tuple[float, float]]]]] = {
    "π": (
        0.64,
        [
            [(0.03, 0.43), (0.07, 0.485), (0.13, 0.5), (0.60, 0.5)],
            [(0.205, 0.49), (0.195, 0.25), (0.14, 0.0)],
            [(0.43, 0.49), (0.42, 0.13), (0.435, 0.065), (0.48, 0.04), (0.53, 0.045), (0.58, 0.07)],
        ],
    ),
    "√": (0.60, [[(0.02, 0.36), (0.13, 0.40), (0.27, 0.02), (0.47, 0.72), (0.60, 0.72)]]),
    "φ": (0.66, [[(0.33, 0.72), (0.33, -0.2)]]),
    "×": (0.56, [[(0.10, 0.10), (0.46, 0.46)], [(0.10, 0.46), (0.46, 0.10)]]),
    "–": (0.56, [[(0.03, 0.26), (0.53, 0.26)]]),
}
# Letters that Unicode does not take apart, and signs that look like one of ours.
_STAND_INS = {
    **dict(zip("łŁøØđĐðı—−ϕ", "lLoOdDdi––φ", strict=True)),
    "ß": "ss",
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "þ": "th",
}
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))
_RING = (0.045, -0.01, 0.615, 0.55)  # the bowl of φ: left, bottom, right, top


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The typeface at a size in pixels.

    Raises RuntimeError where Pillow was built without FreeType and has no scalable type.
    """
    face = ImageFont.load_default(size=size)
    if not isinstance(face, ImageFont.FreeTypeFont):
        raise RuntimeError(
            "this Pillow was built without FreeType and cannot draw text; "
            "install Pillow's own wheel: pip install --force-reinstall pillow"
        )
    return face


@cache
def _has_shape(character: str) -> bool:
    """Whether the typeface has the character; the empty box of U+FFFF is what it has not."""
    face = font(40)
    return bytes(face.getmask(character)) != bytes(face.getmask("\uffff"))


def _can_draw(character: str) -> bool:
    ours = character in _SIGNS or character in _RAISED
    return ours or (character.isprintable() and _has_shape(character))


@lru_cache(maxsize=4096)
def drawable(text: str) -> str:
    """The text in signs that can be drawn: accents dropped, the rest "?"."""
    signs = []
    for character in text:
        if _can_draw(character):
            signs.append(character)
            continue
        base = unicodedata.normalize("NFKD", _STAND_INS.get(character, character))
        for part in base:
            if _can_draw(part):
                signs.append(part)
            elif not unicodedata.combining(part):
                signs.append("?")
    return "".join(signs)


def measure(text: str, size: int) -> float:
    """Width of the text in pixels."""
    return sum(_run_width(run, size) for run in _runs(drawable(text)))


def ellipsise(text: str, size: int, width: float) -> str:
    """The drawable text, or its beginning with "…", at most so many pixels wide."""
    text = drawable(text)
    if measure(text, size) <= width:
        return text
    low, high = 0, len(text)  # text[:low] + "…" fits, or low is 0
    while low + 1 < high:
        middle = (low + high) // 2
        fits = measure(text[:middle].rstrip() + "…", size) <= width
        low, high = (middle, high) if fits else (low, middle)
    return text[:low].rstrip() + "…"


class Pen(NamedTuple):
    """How a line of text is written; align says which of its points is placed."""

    size: int
    colour: Colour
    align: Literal["left", "middle", "right"] = "left"


def draw_text(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, pen: Pen) -> float:
    """Draw one line of text; at is a point of its baseline; its width in pixels is returned."""
    size = pen.size
    text = drawable(text)
    width = measure(text, size)
    left = at[0] - {"left": 0.0, "middle": width / 2, "right": width}[pen.align]
    for run in _runs(text):
        if run in _SIGNS:
            mask = _sign_mask(run, size)
            top = round(at[1]) - (mask.height - round(_DESCENT * size))
            draw.bitmap((round(left), top), mask, fill=pen.colour)
        else:
            raised = run in _RAISED
            face = font(_small(size) if raised else size)
            place = (round(left), round(at[1] - (0.38 * size if raised else 0)))
            draw.text(place, _RAISED.get(run, run), font=face, fill=pen.colour, anchor="ls")
        left += _run_width(run, size)
    return width


def _runs(text: str) -> list[str]:
    """The text cut into signs of ours, raised figures and stretches of the typeface's."""
    runs: list[str] = []
    alone = True  # whether the last run takes no further character
    for character in text:
        single = character in _SIGNS or character in _RAISED
        if single or alone:
            runs.append(character)
        else:
            runs[-1] += character
        alone = single
    return runs


def _run_width(run: str, size: int) -> float:
    if run in _SIGNS:
        return _SIGNS[run][0] * size
    return font(_small(size) if run in _RAISED else size).getlength(_RAISED.get(run, run))


def _small(size: int) -> int:
    """Size of a raised figure."""
    return max(1, size * 2 // 3)


@lru_cache(maxsize=64)
def _sign_mask(sign: str, size: int) -> Image.Image:
    """Coverage of one of our signs, its baseline _DESCENT above the bottom edge."""
    width, lines = _SIGNS[sign]
    columns, rows = round(width * size), size + round(_DESCENT * size)
    mask = Image.new("L", (columns * _OVERSAMPLE, rows * _OVERSAMPLE))
    draw = ImageDraw.Draw(mask)
    em = size * _OVERSAMPLE
    stroke = max(1, round(_STROKE * em))

    def place(x: float, y: float) -> tuple[float, float]:
        return x * em, em - y * em

    for line in lines:
        draw.line([place(x, y) for x, y in line], fill=255, width=stroke, joint="curve")
    if sign == "φ":
        left, bottom, right, top = _RING
        draw.ellipse([place(left, top), place(right, bottom)], outline=255, width=stroke)
    return mask.resize((columns, rows), Image.Resampling.BOX)
