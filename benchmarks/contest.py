"""The proof against the contest: every published list, exact and in order.

The three top tens of data/contest.json, the winner's ten by a costs file made from its pattern, and
the example result set at its offsets. Exit code 1 on any difference.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from indexer.digits import choose_store
from indexer.errors import UsageError
from indexer.options import Count, home_option
from indexer.packaged import data_file
from indexer.window import SHADES, WINDOW, start_of
from measuring.machine import run
from query.answer import Answer
from query.bitmap import parse_digits
from query.finder import Finder
from query.metrics import read_costs

# Which list of the file belongs to how many decimals.
_LISTS = {10**7: "top_ten_first_1e7_digits", 10**9: "top_ten_first_1e9_digits"}
# The digits that score at a pixel of each letter of the winner's pattern, and how much.
_POINTS = {"w": (range(3), 5), "g": (range(3, 10), 1), "b": (range(6, 10), 1)}


@dataclass(frozen=True)
class Comparison:
    """One published list beside what was found, both as lines."""

    what: str
    published: list[str]
    found: list[str]
    seconds: float

    @property
    def agrees(self) -> bool:
        """Whether every line is the same, in the same order."""
        return self.published == self.found


def winner_costs(pattern: str) -> list[list[int]]:
    """The cost table of a pattern of w, g and b: points missed by each digit at each pixel."""
    rows = []
    for letter in pattern:
        scoring, points = _POINTS[letter]
        rows.append([0 if digit in scoring else points for digit in range(SHADES)])
    return rows


def write_costs(rows: list[list[int]], path: Path) -> None:
    """Write a cost table as the CSV that --costs takes."""
    lines = ["# points missed by digits 0 to 9, pixel by pixel from the top left"]
    lines += [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def compare_lists(contest: dict[str, Any], home: Path, n: int) -> Iterator[Comparison]:
    """The top tens of the logo in the first n decimals, one for each metric."""
    finder = Finder(home, digits=n)
    bitmap = parse_digits(contest["bitmap"])
    for metric, rows in contest[_LISTS[n]].items():
        answer = finder.find(bitmap, metric=metric)
        published = [_place(row["offset"], row["distance"]) for row in rows]
        yield Comparison(f"top ten, {metric}, {n:,}", published, _places(answer), answer.seconds)


def compare_winner(contest: dict[str, Any], home: Path, costs_file: Path) -> Comparison:
    """The winner's ten, found by the costs file, with the scores that the distances mean."""
    winner = contest["winner"]
    rows = winner_costs(winner["pattern"])
    most = sum(max(row) for row in rows)
    assert most == winner["maximum"], f"the pattern scores up to {most}"
    write_costs(rows, costs_file)
    # The bitmap is what the answer would be drawn beside; the costs alone decide.
    answer = Finder(home, digits=10**9).find(
        parse_digits(contest["bitmap"]), costs=read_costs(costs_file)
    )
    published = [
        f"{_place(row['offset'], row['distance'])} score {row['score']}"
        for row in winner[_LISTS[10**9]]
    ]
    found = [
        f"{_place(match.offset, match.distance)} score {most - match.distance:g}"
        for match in answer.matches
    ]
    return Comparison("the winner's ten, 1,000,000,000", published, found, answer.seconds)


def compare_examples(contest: dict[str, Any], home: Path) -> Comparison:
    """The example result set's sequences beside what stands at their offsets."""
    digits = choose_store(home, 10**9).open(10**9)
    published, found = [], []
    for row in contest["example_result_set"]:
        start = start_of(row["offset"])
        stands = digits[start : start + WINDOW].tobytes().decode("ascii")
        published.append(f"{row['offset']}: {row['sequence']}")
        found.append(f"{row['offset']}: {stands}")
    return Comparison("example result set at its offsets", published, found, 0.0)


def _place(offset: int, distance: float) -> str:
    return f"{offset} at {distance:g}" if distance % 1 else f"{offset} at {int(distance)}"


def _places(answer: Answer) -> list[str]:
    return [_place(match.offset, match.distance) for match in answer.matches]


def compare_all(home: Path, n: int, costs_file: Path) -> Iterator[Comparison]:
    """Everything that n decimals allow; the shorter lists always."""
    contest = json.loads(data_file("contest.json").read_text("utf-8"))
    yield from compare_lists(contest, home, 10**7)
    if n == 10**9:
        yield from compare_lists(contest, home, n)
        yield compare_winner(contest, home, costs_file)
        yield compare_examples(contest, home)


def print_comparison(comparison: Comparison) -> None:
    """One line, and where they differ the two lists beside each other."""
    verdict = "the same" if comparison.agrees else "DIFFERENT"
    seconds = f"{comparison.seconds:8.3f}" if comparison.seconds else f"{'':8}"
    print(f"{comparison.what:36} {len(comparison.published):4} {seconds}  {verdict}")
    if not comparison.agrees:
        for rank in range(max(len(comparison.published), len(comparison.found))):
            pair = [
                side[rank] if rank < len(side) else "-"
                for side in (comparison.published, comparison.found)
            ]
            print(f"    {rank + 1:3} published {pair[0]}\n        found     {pair[1]}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(), default=10**9, show_default="1e9", metavar="N",
              help="1e9, or 1e7 for the lists of the first 1e7 alone.")  # fmt: skip
@click.option("--costs-file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Keep the winner's costs there, for pilogo find --costs.")  # fmt: skip
@home_option
def main(digits: int, costs_file: Path | None, home: Path) -> None:
    """Compare all lists."""
    if digits not in _LISTS:
        allowed = " and ".join(f"{n:,}" for n in _LISTS)
        raise UsageError(f"--digits {digits:,}: the contest's lists are for {allowed} decimals")
    print(f"{'':36} {'rows':>4} {'seconds':>8}")
    with tempfile.TemporaryDirectory(prefix="pilogo-") as folder:
        failed = 0
        for comparison in compare_all(home, digits, costs_file or Path(folder) / "winner.csv"):
            print_comparison(comparison)
            failed += not comparison.agrees
    if digits < 10**9:
        print("not compared: lists, winner and example set of the first 1e9 decimals; --digits 1e9")
    print("all agree" if not failed else f"{failed} DIFFERENT")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    run(main)
