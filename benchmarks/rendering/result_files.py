"""The results of one size as documents need them, and figures as documents write them."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring import record

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Results:
    """The results of one size in a folder: benchmark NAME's is NAME-SIZE.json."""

    def __init__(self, folder: Path, size: str) -> None:
        self._folder = folder
        self.size = size

    def path(self, benchmark: str) -> Path:
        """Where a benchmark's result is, if it was measured."""
        return self._folder / f"{benchmark}-{self.size}.json"

    def has(self, benchmark: str) -> bool:
        """Whether a benchmark was measured."""
        return self.path(benchmark).is_file()

    def whole(self, benchmark: str) -> dict[str, Any]:
        """A benchmark's result with machine and arguments. FileNotFoundError where it has none."""
        return record.read(self.path(benchmark))

    def get(self, benchmark: str) -> dict[str, Any]:
        """A benchmark's figures. FileNotFoundError where it has none."""
        figures: dict[str, Any] = self.whole(benchmark)["results"]
        return figures

    @property
    def n(self) -> int:
        """The size as a number."""
        lead, _, zeros = self.size.partition("e")
        return int(lead) * 10 ** int(zeros)

    def note(self, benchmark: str) -> str:
        """How many decimals, on which machine, of which code, when."""
        whole = self.whole(benchmark)
        machine = whole["machine"]
        return (
            f"{power(self.n)} decimals; {machine['processor']}, {machine['threads usable']} "
            f"processors, {machine['memory']}; commit {short_commit(whole)}, {whole['when'][:10]}"
        )


def short_commit(whole: dict[str, Any]) -> str:
    """The commit of a result in seven letters, and whether its code had been changed."""
    commit, _, changes = whole["machine"]["commit"].partition(" ")
    return f"{commit[:7]} {changes}".strip()


def power(n: float) -> str:
    """1e9 as 10⁹, 3e7 as 3·10⁷, what is neither with commas."""
    digits = f"{n:.0f}"
    zeros = len(digits) - 1
    if zeros < 4 or digits[1:].strip("0"):
        return f"{n:,.0f}"
    lead = "" if digits[0] == "1" else f"{digits[0]}·"
    return f"{lead}10{str(zeros).translate(_SUPERSCRIPT)}"


def figure(value: float | None, figures: int = 3) -> str:
    """A number to so many figures: 0.0908, 12.7, 8,410, 1.2e6; – where there is none."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    rounded = float(f"{value:.{figures - 1}e}")
    if not 1e-4 <= abs(rounded) < 1e6:
        lead, _, exponent = f"{value:.{min(figures, 2) - 1}e}".partition("e")
        return f"{lead}e{int(exponent)}"
    if abs(rounded) >= 10 ** (figures - 1):
        return f"{rounded:,.0f}"
    return f"{rounded:#.{figures}g}".rstrip(".")


def ratio(value: float) -> str:
    """A ratio to two figures, three from 100 on; below a half as 1/x."""
    if value < 0.5:
        return f"1/{ratio(1 / value)}"
    return "1" if value == 1 else figure(value, 3 if value >= 100 else 2)


def share(value: float | None) -> str:
    """A recall rounded down to three places, four close to 1: "1" says that nothing was missed."""
    if value is None:
        return "–"
    if value >= 1:
        return "1"
    places = 4 if value >= 0.998 else 3
    return f"{int(value * 10**places + 1e-6) / 10**places:.{places}f}"


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; bars in cells are escaped."""
    lines = [f"| {' | '.join(heading)} |".replace("|  |", "| |"), "|" + "---|" * len(heading)]
    for row in rows:
        cells = [cell.replace("|", "\\|") for cell in row]
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    return "\n".join(lines)


def paragraph(text: str) -> str:
    """Sentences in lines as long as those of the documents."""
    return textwrap.fill(text, 130, break_long_words=False, break_on_hyphens=False)
