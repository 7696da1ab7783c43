import hashlib
import json
from dataclasses import replace

import pytest
from PIL import Image, ImageChops, ImageDraw

from indexer.packaged import data_file
from query import lettering
from query import sheet as sheet_module
from query.answer import Answer, Match
from query.palette import GREYS
from query.sheet import MARGIN, MAX_SHOWN, SHEET_WIDTH, draw_sheet, lay_out

CONTEST = json.loads(data_file("contest.json").read_text())
BITMAP = CONTEST["bitmap"]
SEQUENCES = [example["sequence"] for example in CONTEST["example_result_set"]]


def make_answer(count=10, **changed):
    matches = tuple(
        Match(k + 1, 981_165_566 - 7 * k, 180 + k, 0.064 * (k + 1), SEQUENCES[k % 10])
        for k in range(count)
    )
    answer = Answer("logo.png", BITMAP, "l1", "pi", 10**9, "scan", True, 0.0, 0.48, matches)
    return replace(answer, **changed)


def read_picture(sheet, tile):
    """The 84 greys of a tile: each square is sampled near its four corners, beside its digit."""
    greys = []
    for index in range(84):
        left, top = tile.corner(*divmod(index, 14))
        near, far = 2, tile.pixel - 3
        colours = {sheet.getpixel((left + x, top + y)) for x in (near, far) for y in (near, far)}
        assert len(colours) == 1
        (colour,) = colours
        assert len(set(colour)) == 1
        greys.append(colour[0])
    return greys


def greys_of(digits):
    return [GREYS[int(digit)] for digit in digits]


@pytest.mark.parametrize("count", [1, 3, 10, 100])
def test_every_picture_has_the_greys_of_its_digits(count):
    answer = make_answer(count)
    sheet, layout = draw_sheet(answer), lay_out(answer)
    assert sheet.size == (layout.width, layout.height)
    assert sheet.mode == "RGB"
    assert read_picture(sheet, layout.reference) == greys_of(BITMAP)
    assert len(layout.matches) == count
    for tile, match in zip(layout.matches, answer.matches, strict=True):
        assert read_picture(sheet, tile) == greys_of(match.sequence)


def test_squares_are_crisp_to_their_edges():
    sheet, tile = draw_sheet(make_answer(1)), lay_out(make_answer(1)).reference
    for index, digit in enumerate(BITMAP):
        left, top = tile.corner(*divmod(index, 14))
        for x, y in ((0, 0), (tile.pixel - 1, 0), (0, tile.pixel - 1), (tile.pixel - 1,) * 2):
            assert sheet.getpixel((left + x, top + y)) == (GREYS[int(digit)],) * 3


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 10, 11, 100, 101])
def test_tiles_stay_on_the_sheet_and_apart(count):
    layout = lay_out(make_answer(count))
    assert len(layout.matches) == min(count, MAX_SHOWN)
    tiles = [layout.reference, *layout.matches]
    assert layout.width == SHEET_WIDTH
    for index, tile in enumerate(tiles):
        assert tile.left >= MARGIN
        assert tile.left + tile.width <= SHEET_WIDTH - MARGIN
        assert tile.top + tile.height + 90 < layout.height  # the caption has room
        for other in tiles[:index]:
            beside = other.left + other.width < tile.left or tile.left + tile.width < other.left
            assert beside or other.top + other.height + 80 < tile.top


def test_the_sheet_grows_only_to_a_hundred_and_says_so():
    hundred, more = make_answer(100), make_answer(130)
    assert lay_out(hundred).height == lay_out(more).height
    difference = ImageChops.difference(draw_sheet(hundred), draw_sheet(more)).getbbox()
    # The head says how many were found, the foot how many are shown; the pictures are the same.
    assert difference is not None
    assert difference[3] > lay_out(more).matches[-1].top + lay_out(more).matches[-1].height


def test_same_answer_same_bytes():
    first, second = (draw_sheet(make_answer()).tobytes() for _ in range(2))
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
    assert draw_sheet(make_answer(logo="other.png")).tobytes() != first


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 5000,
        "日本語.svg",
        "a\x1b[31m\n\udcff\u202e",
        "Zażółć gęślą jaźń — straße.png",
        BITMAP,
    ],
)
def test_any_name_stays_between_the_margins(name):
    changed = {"logo": name, "digits": 10**15, "constant": "sqrt2"}
    matches = tuple(
        replace(m, offset=10**15 - m.rank, distance=1e15, expected=1e300)
        for m in make_answer(4).matches
    )
    sheet = draw_sheet(make_answer(4, matches=matches, **changed))
    paper = Image.new("RGB", sheet.size, lettering.PAPER)
    box = ImageChops.difference(sheet, paper).getbbox()
    assert box is not None
    assert box[0] >= MARGIN - 6
    assert box[2] <= SHEET_WIDTH - MARGIN + 6


def written(monkeypatch, answer):
    """Every text on the sheet, as it was asked for."""
    texts = []

    def noted(draw, at, text, pen):
        texts.append(text)
        return lettering.draw_text(draw, at, text, pen)

    monkeypatch.setattr(sheet_module, "draw_text", noted)
    draw_sheet(answer)
    return texts


def test_no_folder_is_on_the_sheet(monkeypatch):
    texts = written(monkeypatch, make_answer(1, logo="/home/me/secret/sound cloud.png"))
    assert {"sound cloud", "sound cloud.png"} <= set(texts)
    assert "secret" not in "".join(texts)
    texts = written(monkeypatch, make_answer(1, logo=BITMAP))
    assert {"a picture of 84 digits", "84 digits"} <= set(texts)


@pytest.mark.parametrize("metric", ["l1", "lightness", "costs"])
def test_only_named_metrics_have_a_perfect_copy_at_0(metric, monkeypatch):
    matches = (replace(make_answer(1).matches[0], distance=-144772.5),)
    texts = written(monkeypatch, make_answer(1, metric=metric, matches=matches))
    perfect = any("Distance 0 is a perfect copy." in text for text in texts)
    smaller = any("The smaller the distance, the closer." in text for text in texts)
    assert (perfect, smaller) == (metric != "costs", metric == "costs")
    assert "distance -144,772.5 · E-value 0.064" in texts


def test_captions_tell_certified_from_not():
    certified = draw_sheet(make_answer())
    unsure = draw_sheet(make_answer(certified=False, mode="index", expected_missed=0.008))
    box = ImageChops.difference(certified, unsure).getbbox()
    assert box is not None
    last = lay_out(make_answer()).matches[-1]
    assert box[1] > last.top + last.height


@pytest.mark.parametrize("sign", ["π", "√", "φ", "×", "–", "⁸"])
def test_signs_the_typeface_lacks_are_drawn_and_are_no_boxes(sign):
    def drawn(text):
        image = Image.new("RGB", (80, 80), lettering.PAPER)
        pen = lettering.Pen(50, lettering.INK)
        width = lettering.draw_text(ImageDraw.Draw(image), (10, 55), text, pen)
        box = ImageChops.difference(image, Image.new("RGB", image.size, lettering.PAPER)).getbbox()
        return width, box, image.tobytes()

    assert lettering.drawable(sign) == sign
    width, box, pixels = drawn(sign)
    assert box is not None
    assert box[2] <= 10 + width + 2
    assert pixels != drawn("?")[2]


def test_text_becomes_what_can_be_drawn():
    assert lettering.drawable("café Łódź straße") == "cafe Lodz strasse"
    assert lettering.drawable("日") == "?"
    assert lettering.drawable("a — b") == "a – b"
    assert lettering.drawable("\udcff\x00") == "??"


def test_ellipsised_text_fits_and_is_as_long_as_can_be():
    text = "a picture with quite a long name"
    assert lettering.ellipsise(text, 30, 10_000) == text
    for width in (40, 100, 200, 300):
        short = lettering.ellipsise(text, 30, width)
        kept = len(short) - 1
        assert short.endswith("…")
        assert lettering.measure(short, 30) <= width
        longer = text[: kept + 2] + "…"
        assert lettering.measure(longer, 30) > width
