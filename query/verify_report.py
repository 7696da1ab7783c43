"""A verification as text: a table for the terminal, JSON and CSV.

Every function returns text without a final newline and prints nothing, as in report.py.
"""

import json
from collections.abc import Sequence

from indexer.rows import Row as Record
from indexer.rows import format_rows
from query import wording
from query.terminal import BOLD, Line, Span, Style, paint
from query.verify import CLAIMS, CONFIDENCE, FACTOR, SIGNIFICANCE, Interval, Row, Verification

# The columns of the CSV, and the keys of a row in JSON.
VERIFY_COLUMNS = (
    "metric",
    "missed",
    "questions",
    "by_index",
    "by_scan",
    "recall",
    "expected",
    "seen",
    "seen_low",
    "seen_high",
    "ratio",
    "windows_median",
    "windows_p95",
    "index_ms_median",
    "index_ms_p95",
    "scan_ms_median",
    "speedup",
    *(f"{claim}_ok" for claim in CLAIMS),
)
_CLAIMED = {
    "calibration": f"misses seen within a factor of {FACTOR:g} of the expected "
    f"({100 * (1 - SIGNIFICANCE):g} %)",
    "recall": f"misses seen no more than allowed (p >= {SIGNIFICANCE:g})",
    "agreement": "no answer contradicts the scan",
}
_LEFT_COLUMNS = 1  # metric is a word, the rest are numbers


def format_verification(verification: Verification, *, style: Style) -> str:
    """The verification for people: misses, work, and what became of each claim.

    80 columns wide unless numbers are large. "compact" is for pipes: ASCII, lines that begin with #
    say the rest.
    """
    lead = "# " if style == "compact" else ""
    rows = (*verification.rows, *verification.totals)
    misses = [_miss_heading(verification.top), *(_miss_cells(row, style) for row in rows)]
    work = [_WORK_HEADING, *(_work_cells(row, style) for row in rows)]
    lines: list[Line] = [[Span(lead + text)] for text in _introduce(verification, style)]
    lines += [[], *_aligned(misses, lead), [], *_aligned(work, lead), []]
    lines += _say_claims(verification, lead)
    if style == "compact":
        lines = [line for line in lines if line]
    return paint(lines, escapes=style == "colour")


def verification_json(verification: Verification) -> str:
    """The verification as one JSON object on one line.

    ok says whether every claim holds; a claim in a row is null where the index answered nothing.
    Totals have the metric "all", and no claims.
    """
    body = {
        "constant": verification.constant,
        "digits": verification.digits,
        "logos": verification.n_logos,
        "top": verification.top,
        "ok": not verification.failures(),
        "rows": [_record(row) for row in verification.rows],
        "totals": [_record(row) for row in verification.totals],
    }
    return json.dumps(body)


def verification_csv(verification: Verification) -> str:
    """A row for each metric and `missed`, then the totals, under VERIFY_COLUMNS."""
    records = [_record(row) for row in (*verification.rows, *verification.totals)]
    return format_rows(records, VERIFY_COLUMNS, "csv")


def _record(row: Row) -> Record:
    """A row by the names of VERIFY_COLUMNS; None where there is nothing to say."""

    def short(value: float | None, scale: float = 1, figures: int = 4) -> float | None:
        return None if value is None else wording.short_number(scale * value, figures)

    windows, seconds = row.windows, row.seconds
    values = (
        row.metric,
        wording.plain_number(row.missed),
        row.n_questions,
        row.by_index,
        row.by_scan,
        short(row.recall, figures=9),  # 1 only where nothing was missed
        short(row.expected),
        row.n_missed,
        short(row.interval.low),
        short(row.interval.high),
        short(row.ratio),
        windows and round(windows.median),
        windows and round(windows.p95),
        short(seconds and seconds.median, 1000),
        short(seconds and seconds.p95, 1000),
        short(row.scan_seconds, 1000),
        short(row.speedup),
        *row.claims.values(),
    )
    return dict(zip(VERIFY_COLUMNS, values, strict=True))


def _introduce(verification: Verification, style: Style) -> list[str]:
    constant = verification.constant
    symbol = constant if style == "compact" else wording.symbol_of(constant)
    many = f"{verification.n_logos:,d} held-out logo{'' if verification.n_logos == 1 else 's'}"
    top = f"{verification.top:,d} closest" if verification.top > 1 else "closest"
    said = [
        f"{many} in the first {verification.digits:,d} decimals of {symbol}, the {top}",
        "index, scan: how many each answered, as the planner chose",
    ]
    if verification.n_by_index == 0:
        said.append("the planner preferred a scan every time: nothing is shown of the index")
    return said


def _miss_heading(top: int) -> tuple[str, ...]:
    interval = f"{100 * CONFIDENCE:g} % of seen"
    return (
        "metric", "missed", "index", "scan", f"recall@{top}", "expected", "seen", interval, "ratio",
    )  # fmt: skip


def _miss_cells(row: Row, style: Style) -> tuple[str, ...]:
    return (
        row.metric,
        f"{row.missed:g}",
        str(row.by_index),
        str(row.by_scan),
        _recall(row),
        _figure(row.expected) if row.by_index else "-",
        str(row.n_missed) if row.by_index else "-",
        _interval(row.interval, style) if row.by_index else "-",
        _figure(row.ratio),
    )


_WORK_HEADING = (
    "metric", "missed", "windows", "p95", "index ms", "p95", "scan ms", "speed-up",
)  # fmt: skip


def _work_cells(row: Row, style: Style) -> tuple[str, ...]:
    windows, seconds = row.windows, row.seconds

    def whole(value: float | None) -> str:
        separator = "" if style == "compact" else ","
        return "-" if value is None else f"{value:{separator}.0f}"

    return (
        row.metric,
        f"{row.missed:g}",
        whole(windows and windows.median),
        whole(windows and windows.p95),
        _figure(seconds and 1000 * seconds.median),
        _figure(seconds and 1000 * seconds.p95),
        _figure(1000 * row.scan_seconds),
        _figure(row.speedup),
    )


def _say_claims(verification: Verification, lead: str) -> list[Line]:
    """One line a claim, and under one that fails a line for each row where it does."""
    failures = verification.failures()
    lines: list[Line] = []
    for claim in CLAIMS:
        where = [said for failed, said in failures if failed == claim]
        known = [row.claims[claim] for row in verification.rows]
        ok = "FAILS" if where else "-" if set(known) == {None} else "ok"
        sgr = BOLD if where else ""
        lines.append([Span(f"{lead}{claim:<11}  {ok:<5}", sgr), Span(f"  {_CLAIMED[claim]}")])
        lines += [[Span(f"{lead}    {said}")] for said in where]
    return lines


def _aligned(cells: Sequence[Sequence[str]], lead: str) -> list[Line]:
    """Rows of cells under a bold heading: words to the left of their column, numbers to the right.

    lead stands before the heading, and as many spaces before the rows.
    """
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines: list[Line] = []
    for index, row in enumerate(cells):
        text = "  ".join(
            cell.ljust(width) if column < _LEFT_COLUMNS else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append([Span((" " * len(lead) if index else lead) + text, "" if index else BOLD)])
    return lines


def _recall(row: Row) -> str:
    """The recall to four places, rounded down: 1.0000 says that nothing was missed."""
    if not row.n_true:
        return "-"
    return f"{(row.n_true - row.n_missed) * 10_000 // row.n_true / 10_000:.4f}"


def _figure(value: float | None) -> str:
    """A number to three figures: "0.0123", "4.2", "1,234"; "-" for None."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def _interval(interval: Interval, style: Style) -> str:
    dash = " to " if style == "compact" else " – "
    return f"{_figure(interval.low)}{dash}{_figure(interval.high)}"
