"""Answers as text: a table for the terminal, JSON and CSV.

Every function returns text without a final newline and prints nothing. Pictures and escape codes
are made in terminal.py, sentences in wording.py.
"""

import csv
import io
import json
import textwrap
from collections.abc import Iterable, Sequence

from indexer.window import WIDTH
from query import wording
from query.answer import Answer, Match, Odds
from query.terminal import (
    BOLD,
    DIM,
    Line,
    Span,
    Style,
    beside,
    characters,
    choose_style,
    clip_line,
    full_blocks,
    half_blocks,
    line_width,
    paint,
    rows_of,
)

__all__ = [
    "CSV_COLUMNS",
    "Style",
    "bitmap_csv",
    "bitmap_json",
    "choose_style",
    "format_bitmap",
    "format_csv",
    "format_json",
    "format_odds",
    "format_table",
    "odds_csv",
    "odds_json",
]

CSV_COLUMNS = (
    "logo",
    "metric",
    "digits",
    "mode",
    "certified",
    "expected_missed",
    "rank",
    "offset",
    "distance",
    "expected",
    "sequence",
)
ODDS_CSV_COLUMNS = ("logo", "metric", "digits", "log10_digits", "best", "tenth", "distance")

_GAP = 2  # columns between a picture and its text
_COLUMN_GAP = 4  # columns between two cards
_DIGIT_LINE = 3 * WIDTH + 2  # three rows of a picture, a space between them


def format_json(answer: Answer) -> str:
    """The answer as one JSON object on one line, in ASCII."""
    body = {
        "logo": answer.logo,
        "bitmap": answer.bitmap,
        "metric": answer.metric,
        "constant": answer.constant,
        "digits": answer.digits,
        "mode": answer.mode,
        "certified": answer.certified,
        "expected_missed": wording.short_number(answer.expected_missed),
        "seconds": round(answer.seconds, 4),
        "matches": [
            {
                "rank": match.rank,
                "offset": match.offset,
                "distance": wording.plain_number(match.distance),
                "expected": wording.short_number(match.expected),
                "sequence": match.sequence,
            }
            for match in answer.matches
        ],
    }
    if answer.first_offset > 1:
        body["first_offset"] = answer.first_offset
    if answer.uncovered:
        body["uncovered"] = [list(pair) for pair in answer.uncovered]
    return json.dumps(body)


def format_csv(answers: Iterable[Answer], *, header: bool = True) -> str:
    """One row a match under CSV_COLUMNS; header=False continues a table already begun.

    A name that is not valid Unicode is written with backslashes (\\udcff), so that it can be
    encoded.
    """
    rows: list[Sequence[object]] = [CSV_COLUMNS] if header else []
    for answer in answers:
        head = (
            _encodable(answer.logo),
            answer.metric,
            answer.digits,
            answer.mode,
            "true" if answer.certified else "false",
            wording.short_number(answer.expected_missed),
        )
        rows += [
            (
                *head,
                match.rank,
                match.offset,
                wording.plain_number(match.distance),
                wording.short_number(match.expected),
                match.sequence,
            )
            for match in answer.matches
        ]
    return _write_csv(rows)


def format_table(answer: Answer, *, style: Style, width: int = 80) -> str:
    """The answer for people: the reference, a headline, and a card for each match.

    "colour" has half-block pictures, "plain-pictures" the same in characters without any escape
    code; no line is wider than width, and two cards stand side by side where they fit. "compact" is
    for pipes: one line a match in ASCII, lines that begin with # say the rest, width is ignored.
    """
    if style == "compact":
        return _compact(answer)
    card = _colour_card if style == "colour" else _plain_card
    widths = _Widths(answer.matches)
    cards = [card(match, widths, width) for match in answer.matches]
    card_width = max((line_width(line) for lines in cards for line in lines), default=width)
    two = 2 * card_width + _COLUMN_GAP <= width and len(cards) > 1
    lines = _headline(answer, style, width)
    # Down the first column, then the second: ranks read like a list.
    half = (len(cards) + 1) // 2 if two else len(cards)
    for index in range(half):
        right = cards[index + half] if two and index + half < len(cards) else []
        lines += [[], *beside(cards[index], right, card_width, _COLUMN_GAP)]
    return paint([clip_line(line, width) for line in lines], escapes=style == "colour")


def format_bitmap(bitmap: str, *, style: Style, width: int = 80) -> str:
    """What a picture became: drawn large beside its 6 rows of 14 digits, then the 84 in one line.

    "compact" is the 84 digits alone, which `pilogo find -` takes from a pipe.
    """
    if style == "compact":
        return bitmap
    # 4 columns a pixel and the digits need 56 + 3 + 14; narrower terminals get 2 columns a pixel.
    columns = 4 if width >= 4 * WIDTH + 3 + WIDTH else 2
    picture = full_blocks(bitmap, columns) if style == "colour" else characters(bitmap, columns)
    digits: list[Line] = []
    for row in rows_of(bitmap):
        digits += [[Span(row)], *[[]] * (columns // 2 - 1)]
    shown = [*beside(picture, digits, columns * WIDTH, 3)]
    if wording.is_blank(bitmap):
        shown += [[], [Span(f"({wording.BLANK})")]]
    shown = [clip_line(line, width) for line in shown]
    # The one line stays whole at any width: it is there to be copied.
    return paint([*shown, [], [Span(bitmap)]], escapes=style == "colour")


def bitmap_json(logo: str, bitmap: str) -> str:
    """What a logo became, as one JSON object on one line."""
    return json.dumps({"logo": logo, "bitmap": bitmap})


def bitmap_csv(logo: str, bitmap: str) -> str:
    """What a logo became, as CSV with a header."""
    return _write_csv([("logo", "bitmap"), (_encodable(logo), bitmap)])


def format_odds(odds: Odds, *, style: Style) -> str:
    """How close a match to expect in n decimals, and how many decimals a closeness needs."""
    unicode = style != "compact"
    lead = "" if unicode else "# "
    name = wording.clip(_shown_name(odds.logo, style), 60)
    lines: list[Line] = [[Span(f"{lead}{name}", BOLD), Span(f"  metric {odds.metric}")], []]
    cells: list[tuple[str, ...]] = [("decimals", "expected best", "expected tenth")]
    cells += [
        (
            f"{row.digits:,d}" if unicode else str(row.digits),
            _odds_distance(row.best, style),
            _odds_distance(row.tenth, style),
        )
        for row in odds.rows
    ]
    lines += _right_aligned(cells, lead)
    if odds.needed:
        cells = [("distance", "decimals needed")]
        cells += [
            (
                _odds_distance(row.distance, style),
                wording.format_power(row.log10_digits, unicode=unicode),
            )
            for row in odds.needed
        ]
        power = wording.format_power(round(odds.needed[0].log10_digits), unicode=unicode)
        lines += [[], *_right_aligned(cells, lead), []]
        lines.append([Span(f"{lead}The exact picture needs about {power} decimals.")])
    if not unicode:
        lines = [line for line in lines if line]
    return paint(lines, escapes=style == "colour")


def odds_json(odds: Odds) -> str:
    """The odds as one JSON object on one line."""
    number, exact = wording.short_number, wording.plain_number
    body = {
        "logo": odds.logo,
        "bitmap": odds.bitmap,
        "metric": odds.metric,
        "odds": [
            {"digits": r.digits, "best": exact(r.best), "tenth": exact(r.tenth)} for r in odds.rows
        ],
        "needed": [
            {"distance": exact(r.distance), "log10_digits": number(r.log10_digits)}
            for r in odds.needed
        ],
    }
    return json.dumps(body)


def odds_csv(odds: Odds, *, header: bool = True) -> str:
    """The odds under ODDS_CSV_COLUMNS.

    Rows of n decimals have digits, best and tenth; rows of decimals needed have log10_digits and
    distance; what does not apply is empty.
    """
    name, exact = _encodable(odds.logo), wording.plain_number
    rows: list[Sequence[object]] = [ODDS_CSV_COLUMNS] if header else []
    rows += [
        (name, odds.metric, r.digits, "", exact(r.best), exact(r.tenth), "") for r in odds.rows
    ]
    rows += [
        (name, odds.metric, "", wording.short_number(r.log10_digits), "", "", exact(r.distance))
        for r in odds.needed
    ]
    return _write_csv(rows)


class _Widths:
    """Columns that rank, offset, distance and E-value take, over all matches of an answer."""

    def __init__(self, matches: Sequence[Match]) -> None:
        self.rank = max((len(str(m.rank)) for m in matches), default=1)
        self.offset = max((len(f"{m.offset:,d}") for m in matches), default=1)
        self.distance = max((len(wording.format_distance(m.distance)) for m in matches), default=1)
        self.expected = max((len(wording.format_expected(m.expected)) for m in matches), default=1)


def _facts(match: Match, widths: _Widths) -> tuple[Span, Span, Span, Span]:
    """Rank, offset, distance and E-value of a match, aligned with those of its fellows."""
    distance = wording.format_distance(match.distance)
    expected = wording.format_expected(match.expected)
    return (
        Span(f"{match.rank:>{widths.rank}d}"),
        Span(f"{match.offset:>{widths.offset},d}", BOLD),
        Span(f"distance {distance:>{widths.distance}}"),
        Span(f"E {expected:<{widths.expected}}"),
    )


def _colour_card(match: Match, widths: _Widths, width: int) -> list[Line]:
    """A match in 3 lines: the picture; beside it the facts, and the digits row by row.

    One text line of digits holds the three rows of the picture's upper or lower half.
    """
    rank, offset, distance, expected = _facts(match, widths)
    space, wide = Span(" "), Span("  ")
    facts: Line = [rank, wide, offset, wide, distance, wide, expected]
    room = width - WIDTH - _GAP
    if line_width(facts) > room or room < _DIGIT_LINE:
        text: list[Line] = [[rank, space, offset], [distance], [expected]]
    else:
        rows = rows_of(match.sequence)
        text = [facts, [Span(" ".join(rows[:3]), DIM)], [Span(" ".join(rows[3:]), DIM)]]
    return beside(half_blocks(match.sequence), text, WIDTH, _GAP)


def _plain_card(match: Match, widths: _Widths, width: int) -> list[Line]:
    """A match in 6 lines: the picture in characters, its digits row by row, the facts."""
    rank, offset, distance, expected = _facts(match, widths)
    text: list[Line] = [[rank, Span("  "), offset], [distance], [expected]]
    room = width - 2 * WIDTH - _GAP - max(line_width(line) for line in text)
    picture = characters(match.sequence)
    if room >= WIDTH + _GAP:
        digits = [[Span(row)] for row in rows_of(match.sequence)]
        text = beside(digits, text, WIDTH, _GAP)
    return beside(picture, text, 2 * WIDTH, _GAP)


def _headline(answer: Answer, style: Style, width: int) -> list[Line]:
    """The reference, and beside it what was asked and how it was answered."""
    picture_width = WIDTH if style == "colour" else 2 * WIDTH
    picture = half_blocks(answer.bitmap) if style == "colour" else characters(answer.bitmap)
    room = max(16, width - picture_width - _GAP)
    said = f"{wording.how_many(answer)} in {wording.where_from(answer)}, metric {answer.metric}"
    got = f"{wording.how_got(answer)}; {wording.format_seconds(answer.seconds)}"
    text: list[Line] = [[Span(wording.clip(wording.clean_name(answer.logo), room), BOLD)]]
    if wording.is_blank(answer.bitmap):
        text.append([Span(wording.clip(f"({wording.BLANK})", room))])
    for sentence in (said, got):
        text += [[Span(part)] for part in textwrap.wrap(sentence, room)]
    return beside(picture, text, picture_width, _GAP)


def _compact(answer: Answer) -> str:
    """One line a match: rank, offset, distance, E-value, digits; the rest behind #."""
    name = _shown_name(answer.logo, "compact")
    got = f"{wording.how_got(answer)}; {wording.format_seconds(answer.seconds)}"
    place = wording.where_from(answer, wording.clean_name(answer.constant))
    said = f"{wording.how_many(answer)} in {place}"
    cells = [("rank", "offset", "distance", "expected", "sequence")]
    cells += [
        (
            str(match.rank),
            str(match.offset),
            str(wording.plain_number(match.distance)),
            f"{match.expected:.4g}",
            match.sequence,
        )
        for match in answer.matches
    ]
    comments = [f"# {name}", f"# {said}, metric {answer.metric}", f"# {got}"]
    if wording.is_blank(answer.bitmap):
        comments.append(f"# ({wording.BLANK})")
    lines: list[Line] = [[Span(comment)] for comment in comments]
    return paint([*lines, *_right_aligned(cells, "# ")], escapes=False)


def _right_aligned(cells: Sequence[Sequence[str]], lead: str) -> list[Line]:
    """Rows of cells, each column as wide as its widest cell; the first row is the heading.

    lead stands before the heading, and as many spaces before the rows.
    """
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines: list[Line] = []
    for index, row in enumerate(cells):
        text = "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append([Span((" " * len(lead) if index else lead) + text, "" if index else BOLD)])
    return lines


def _odds_distance(distance: float, style: Style) -> str:
    if style == "compact":
        return str(wording.plain_number(distance))
    return wording.format_distance(distance)


def _shown_name(logo: str, style: Style) -> str:
    name = wording.clean_name(logo)
    return name.encode("ascii", "backslashreplace").decode() if style == "compact" else name


def _encodable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def _write_csv(rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().removesuffix("\n")
