"""query/wording.py: numbers, names and sentences, and where they are shown."""

import csv
import io
import json
from dataclasses import replace

import pytest
from test_report import BITMAP, make_answer, make_odds

from query.answer import Match, NeededRow, OddsRow
from query.report import format_bitmap, format_csv, format_odds, format_table, odds_csv, odds_json
from query.terminal import Style
from query.wording import format_distance, how_many, name_of, title_of

STYLES: tuple[Style, ...] = ("colour", "plain-pictures", "compact")


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (180, "180"),
        (180.0, "180"),
        (733573, "733,573"),
        (144772.5, "144,772.5"),
        (1.25, "1.25"),
        (0.001, "0.001"),
        (0.000001, "0.000001"),
        (-12.5, "-12.5"),
        (-144772.25, "-144,772.25"),
        (840_000_000, "840,000,000"),
        (83_999_999.9, "83,999,999.9"),
        (0.1 + 0.2, "0.3"),
        (-1e-9, "0"),
    ],
)
def test_distances_are_shown_to_their_last_digit(distance: float, text: str) -> None:
    assert format_distance(distance) == text


@pytest.mark.parametrize("distance", [144772.5, -12.5, 0.001, 123_456_789])
def test_no_output_rounds_a_distance(distance: float) -> None:
    answer = make_answer(1, matches=(Match(1, 5, distance, 1.0, BITMAP),))
    odds = make_odds(
        rows=(OddsRow(10**6, distance, distance),), needed=(NeededRow(distance, 84.0),)
    )
    assert f"distance {format_distance(distance)}" in format_table(answer, style="plain-pictures")
    assert f" {distance} " in format_table(answer, style="compact")
    assert f",{distance}," in format_csv([answer])
    assert format_odds(odds, style="plain-pictures").split().count(format_distance(distance)) == 3
    assert format_odds(odds, style="compact").split().count(str(distance)) == 3
    row = json.loads(odds_json(odds))
    assert row["odds"] == [{"digits": 10**6, "best": distance, "tenth": distance}]
    assert row["needed"][0]["distance"] == distance
    found = list(csv.DictReader(io.StringIO(odds_csv(odds))))
    assert [found[0]["best"], found[0]["tenth"], found[1]["distance"]] == [str(distance)] * 3


@pytest.mark.parametrize(
    ("logo", "name", "title"),
    [
        ("/some/folder/Sound Cloud.png", "Sound Cloud.png", "Sound Cloud"),
        ("d/" * 2000 + "logo.png", "logo.png", "logo"),
        (BITMAP, "84 digits", "a picture of 84 digits"),
        (f" {BITMAP[:42]}\n{BITMAP[42:]}\n", "84 digits", "a picture of 84 digits"),
        ("-:3", "line 3", "line 3"),
        ("-:x", "-:x", "-:x"),
        ("", "", "a picture"),
        ("/", "/", "/"),
        ("a\x1b[31m/b\n.svg", "b?.svg", "b?"),
    ],
)
def test_names_on_pictures_have_no_folder(logo: str, name: str, title: str) -> None:
    assert name_of(logo) == name
    assert title_of(logo) == title


def test_one_window_is_singular() -> None:
    assert how_many(make_answer(1, digits=84)) == "the only window"
    assert how_many(make_answer(0, digits=84)) == "no match among 1 window"
    assert how_many(make_answer(1, digits=85)) == "the closest of 2 windows"
    assert how_many(make_answer(2, digits=85)) == "the 2 closest of 2 windows"


@pytest.mark.parametrize("style", STYLES)
def test_a_blank_picture_is_said_to_be_one(style: Style) -> None:
    blank = make_answer(1, bitmap="0" * 84)
    nearly = replace(blank, bitmap="0" * 83 + "1")
    assert "(a blank picture)" in format_table(blank, style=style)
    assert "blank" not in format_table(nearly, style=style)
    first = format_table(blank, style="compact").split("\n")
    assert first[0] == "# logo.png"
    assert [line[0] for line in first] == ["#", "#", "#", "#", "#", " "]
    said = format_bitmap("0" * 84, style=style)
    assert ("(a blank picture)" in said) == (style != "compact")
    assert said.endswith("0" * 84)
    assert "blank" not in format_bitmap("0" * 83 + "1", style=style)
