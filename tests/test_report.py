import csv
import io
import json
import re
from dataclasses import replace

import pytest

from indexer.packaged import data_file
from query.answer import Answer, Match, NeededRow, Odds, OddsRow
from query.palette import GREYS
from query.report import (
    CSV_COLUMNS,
    choose_style,
    format_bitmap,
    format_csv,
    format_json,
    format_odds,
    format_table,
    odds_csv,
    odds_json,
)
from query.terminal import RAMP
from query.wording import (
    clean_name,
    clip,
    columns_of,
    format_expected,
    format_power,
    format_seconds,
    how_got,
    title_of,
)

CONTEST = json.loads(data_file("contest.json").read_text())
BITMAP = CONTEST["bitmap"]
SEQUENCES = [example["sequence"] for example in CONTEST["example_result_set"]]
# One example of each kind of character that steers a terminal.
HOSTILE = "a\x1b[31mred\x07\n\r\u202egnp.\udcff\u2028z"


def make_answer(count=10, **changed):
    matches = tuple(
        Match(k + 1, 981_165_566 - 7 * k, 180 + k, 0.0643219 * 3**k, SEQUENCES[k % 10])
        for k in range(count)
    )
    answer = Answer("logo.png", BITMAP, "l1", "pi", 10**9, "scan", True, 0.0, 0.48211, matches)
    return replace(answer, **changed)


def make_odds(**changed):
    rows = tuple(OddsRow(10**k, 265.0 - 8 * k, 275.5 - 8 * k) for k in range(6, 16))
    needed = (NeededRow(0, 84.0), NeededRow(100, 25.54), NeededRow(200, 7.72))
    return replace(Odds("logo.png", BITMAP, "l1", rows, needed), **changed)


def strip_escapes(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def decode_cells(line):
    """(character, upper grey, lower grey) of every column of a line with escapes."""
    cells, fore, back = [], None, None
    for sgr, character in re.findall(r"\x1b\[([0-9;]*)m|([^\x1b])", line):
        if character:
            cells.append((character, fore, back))
        elif sgr == "0":
            fore = back = None
        elif sgr.startswith("38;2;"):
            numbers = [int(part) for part in sgr.split(";")]
            assert len(set(numbers[2:5])) == 1
            fore = numbers[2]
            back = numbers[7] if len(numbers) > 5 else back
            assert len(numbers) == 5 or len(set(numbers[7:10])) == 1
        elif sgr.startswith("48;2;"):
            back = int(sgr.split(";")[2])
    return cells


def decode_pictures(text):
    """Every half-block picture of a text as 84 greys, in reading order of their top lines."""
    found = []
    lines = [decode_cells(line) for line in text.split("\n")]
    for row, cells in enumerate(lines):
        for column, (character, _, _) in enumerate(cells):
            inside = column and cells[column - 1][0] == "▀"
            above = row and column < len(lines[row - 1]) and lines[row - 1][column][0] == "▀"
            if character != "▀" or inside or above:
                continue
            greys = []
            for line in lines[row : row + 3]:
                part = line[column : column + 14]
                assert {cell[0] for cell in part} == {"▀"}
                greys += [cell[1] for cell in part] + [cell[2] for cell in part]
            found.append(greys)
    return found


def greys_of(digits):
    return [GREYS[int(digit)] for digit in digits]


def test_json_has_the_contract_keys_in_order_and_comes_back():
    line = format_json(make_answer(3, expected_missed=0.0081234, certified=False, mode="index"))
    assert "\n" not in line
    back = json.loads(line)
    assert list(back) == [
        "logo",
        "bitmap",
        "metric",
        "constant",
        "digits",
        "mode",
        "certified",
        "expected_missed",
        "seconds",
        "matches",
    ]
    assert [list(match) for match in back["matches"]] == [
        ["rank", "offset", "distance", "expected", "sequence"]
    ] * 3
    assert back["matches"][0] == {
        "rank": 1,
        "offset": 981165566,
        "distance": 180,
        "expected": 0.06432,
        "sequence": SEQUENCES[0],
    }
    assert back["expected_missed"] == 0.008123
    assert back["seconds"] == 0.4821
    assert back["certified"] is False


def test_json_distance_is_an_integer_only_where_it_is_one():
    whole = make_answer(1, matches=(Match(1, 5, 180.0, 1.0, BITMAP),))
    part = make_answer(1, matches=(Match(1, 5, 12.25, 1.0, BITMAP),))
    assert '"distance": 180,' in format_json(whole)
    assert '"distance": 12.25,' in format_json(part)


def test_json_of_a_name_that_is_no_unicode_can_be_encoded():
    line = format_json(make_answer(0, logo=HOSTILE))
    assert line.isascii()
    assert json.loads(line)["logo"] == HOSTILE


def test_csv_parses_back_with_one_header():
    text = format_csv([make_answer(3, logo='a,"b"\nc.png'), make_answer(2)])
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == 6
    assert rows[1] == [
        *['a,"b"\nc.png', "l1", "1000000000", "scan", "true", "0"],
        *["1", "981165566", "180", "0.06432", SEQUENCES[0]],
    ]
    assert rows[5][:2] == ["logo.png", "l1"]
    assert "\r" not in text


def test_csv_without_header_continues_a_table():
    both = format_csv([make_answer(2), make_answer(1)])
    first, second = format_csv([make_answer(2)]), format_csv([make_answer(1)], header=False)
    assert both == f"{first}\n{second}"


def test_csv_of_a_name_that_is_no_unicode_can_be_encoded():
    assert b"a\\udcffb" in format_csv([make_answer(1, logo="a\udcffb")]).encode()


@pytest.mark.parametrize("style", ["colour", "plain-pictures"])
@pytest.mark.parametrize("name", ["logo.png", "日本語" * 60, HOSTILE])
def test_no_line_of_the_table_is_wider_than_the_terminal(style, name):
    for count in (0, 1, 10):
        answer = make_answer(count, logo=name)
        far = tuple(
            replace(m, offset=10**15 - m.rank, distance=733573 + m.rank) for m in answer.matches
        )
        for changed in (answer, replace(answer, matches=far, digits=10**15)):
            for width in (*range(20, 60, 13), *range(60, 201)):
                text = strip_escapes(format_table(changed, style=style, width=width))
                assert max(columns_of(line) for line in text.split("\n")) <= width


@pytest.mark.parametrize("width", [40, 60, 80, 130, 200])
def test_half_blocks_show_the_reference_and_every_match(width):
    answer = make_answer()
    pictures = decode_pictures(format_table(answer, style="colour", width=width))
    wanted = [greys_of(digits) for digits in (BITMAP, *(m.sequence for m in answer.matches))]

    assert len(pictures) == 11
    assert pictures[0] == wanted[0]
    assert sorted(pictures) == sorted(wanted)
    if width < 122:
        assert pictures == wanted


@pytest.mark.parametrize("width", [60, 80, 130])
def test_cards_hold_all_84_digits_row_by_row(width):
    text = strip_escapes(format_table(make_answer(), style="colour", width=width))
    for sequence in SEQUENCES:
        rows = [sequence[start : start + 14] for start in range(0, 84, 14)]
        assert " ".join(rows[:3]) in text
        assert " ".join(rows[3:]) in text


def test_wide_terminals_have_two_columns_of_cards():
    lines = strip_escapes(format_table(make_answer(), style="colour", width=130)).split("\n")
    first = next(line for line in lines if "981,165,566" in line)
    assert "981,165,531" in first  # rank 6 beside rank 1
    assert len(lines) < 30


def test_character_pictures_use_the_ramp_and_no_escapes():
    text = format_table(make_answer(2), style="plain-pictures", width=80)
    assert "\x1b" not in text
    lines = text.split("\n")
    start = next(i for i, line in enumerate(lines) if "981,165,566" in line)
    for row in range(6):
        digits = SEQUENCES[0][14 * row : 14 * row + 14]
        assert lines[start + row].startswith("".join(RAMP[int(d)] * 2 for d in digits))
        assert digits in lines[start + row]


def test_table_says_what_was_searched_and_how():
    text = strip_escapes(format_table(make_answer(), style="colour", width=130))
    said = (
        "the 10 closest of 999,999,917 windows in the first 1,000,000,000 decimals of π, metric l1"
    )
    assert said in text
    assert "certified: every window was compared; 482 ms" in text
    assert "distance 180" in text
    assert "E 0.064" in text
    unsure = make_answer(certified=False, mode="index", expected_missed=0.008)
    assert "from the index: expected to lack 0.008 of the ten" in format_table(
        unsure, style="plain-pictures", width=130
    )


def test_compact_table_is_ascii_columns_that_awk_reads():
    text = format_table(make_answer(logo="Zażółć\n.png"), style="compact", width=20)
    assert text.isascii()
    rows = [line.split() for line in text.split("\n") if not line.startswith("#")]
    assert len(rows) == 10
    assert rows[0] == ["1", "981165566", "180", "0.06432", SEQUENCES[0]]
    starts = {line.index(line.split()[-1]) for line in text.split("\n")[4:]}
    assert len(starts) == 1


@pytest.mark.parametrize("style", ["colour", "plain-pictures", "compact"])
def test_a_name_cannot_steer_the_terminal(style):
    answer, odds = make_answer(1, logo=HOSTILE), make_odds(logo=HOSTILE)
    for text in (format_table(answer, style=style, width=120), format_odds(odds, style=style)):
        assert not re.search(r"[\x00-\x09\x0b-\x1a\x1c-\x1f\u202e\u2028\udcff]", text)
        assert "\x1b[31m" not in text
        assert "a?[31mred" in text


@pytest.mark.parametrize("width", [60, 100])
def test_drawn_bitmap_decodes_to_its_greys(width):
    text = format_bitmap(BITMAP, style="colour", width=width)
    lines = text.split("\n")
    columns = 4 if width == 100 else 2
    for index, grey in enumerate(greys_of(BITMAP)):
        row, column = divmod(index, 14)
        for line in range(row * columns // 2, (row + 1) * columns // 2):
            cells = decode_cells(lines[line])[column * columns : (column + 1) * columns]
            assert cells == [(" ", None, grey)] * columns
        assert BITMAP[14 * row : 14 * row + 14] in strip_escapes(lines[row * columns // 2])
    assert lines[-1] == BITMAP


def test_bitmap_for_a_pipe_is_the_digits_alone():
    assert format_bitmap(BITMAP, style="compact") == BITMAP


def test_odds_table_json_and_csv():
    odds = make_odds()
    table = format_odds(odds, style="plain-pictures")
    assert "1,000,000,000,000,000" in table
    assert "3.5 × 10²⁵" in table
    assert "The exact picture needs about 10⁸⁴ decimals." in table
    assert "\x1b" not in table
    compact = format_odds(odds, style="compact")
    assert compact.isascii()
    assert next(line.split() for line in compact.split("\n") if line[0] != "#") == [
        "1000000",
        "217",
        "227.5",
    ]
    back = json.loads(odds_json(odds))
    assert list(back) == ["logo", "bitmap", "metric", "odds", "needed"]
    assert back["odds"][0] == {"digits": 10**6, "best": 217, "tenth": 227.5}
    assert back["needed"][1] == {"distance": 100, "log10_digits": 25.54}
    rows = list(csv.DictReader(io.StringIO(odds_csv(odds))))
    assert len(rows) == 13
    assert rows[0]["digits"] == "1000000"
    assert rows[-1] | {"logo": ""} == {
        **dict.fromkeys(("logo", "digits", "best", "tenth"), ""),
        "metric": "l1",
        "log10_digits": "7.72",
        "distance": "200",
    }


@pytest.mark.parametrize(
    ("is_terminal", "environ", "style"),
    [
        (True, {}, "colour"),
        (False, {}, "compact"),
        (True, {"NO_COLOR": "1"}, "plain-pictures"),
        (True, {"NO_COLOR": ""}, "colour"),
        (False, {"NO_COLOR": "1"}, "compact"),
        (True, {"TERM": "dumb"}, "plain-pictures"),
        (True, {"TERM": "xterm"}, "colour"),
        (True, {"CLICOLOR": "0"}, "plain-pictures"),
        (False, {"FORCE_COLOR": "1"}, "colour"),
        (False, {"FORCE_COLOR": "0"}, "compact"),
        (False, {"CLICOLOR_FORCE": "1"}, "colour"),
        (True, {"FORCE_COLOR": "1", "TERM": "dumb"}, "colour"),
        (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, "plain-pictures"),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, "compact"),
    ],
)
def test_style_follows_terminal_and_environment(is_terminal, environ, style):
    assert choose_style(is_terminal, environ) == style


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", None, "no-such-encoding"])
def test_a_stream_without_half_blocks_gets_the_compact_table(encoding):
    assert choose_style(True, {"FORCE_COLOR": "1"}, encoding) == "compact"


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (0.0643, "0.064"),
        (3.41, "3.4"),
        (0.0000123, "1.2e-05"),
        (21.2, "21"),
        (99.6, "100"),
        (1234.4, "1,234"),
        (999_999.6, "1.0e+06"),
        (0.0, "0"),
    ],
)
def test_expected_for_people(expected, text):
    assert format_expected(expected) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0042, "4.2 ms"), (0.0421, "42 ms"), (1.34, "1.3 s"), (75.2, "75 s"), (125.0, "2 min 5 s")],
)
def test_seconds_for_people(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("exponent", "text", "ascii_text"),
    [(84, "10⁸⁴", "1.0e+84"), (25.54, "3.5 × 10²⁵", "3.5e+25"), (6.9999, "10⁷", "1.0e+7")],
)
def test_powers_of_ten(exponent, text, ascii_text):
    assert format_power(exponent) == text
    assert format_power(exponent, unicode=False) == ascii_text


def test_how_got_names_mode_and_lack():
    assert how_got(make_answer(mode="index")) == "certified: every window was accounted for"
    partial = make_answer(3, certified=False, expected_missed=0.5)
    assert how_got(partial) == "from a scan: expected to lack 0.5 of the 3"


def test_names():
    assert title_of("/some/folder/Sound Cloud.png") == "Sound Cloud"
    assert title_of(BITMAP) == "a picture of 84 digits"
    assert title_of("") == "a picture"
    assert clean_name(HOSTILE) == "a?[31mred????gnp.??z"
    assert clip("日本語", 5) == "日本…"
    assert clip("abc", 3) == "abc"
    assert columns_of(clip("e\u0301" * 50, 7)) <= 7
