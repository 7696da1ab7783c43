"""Rows of facts as text: a table for people, JSON or CSV for programs."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def format_rows(rows: Sequence[Row], columns: Sequence[str], format_: str) -> str:
    """Rows as `table`, `json` (one array) or `csv`; every row has every column."""
    if format_ == "json":
        return json.dumps(rows, ensure_ascii=False)
    if format_ == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_plain(row[name]) for name in columns] for row in rows)
        return text.getvalue().rstrip("\n")
    table = [list(columns), *([_cell(row[name]) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def _plain(value: Any) -> Any:
    """For programs: true and false as in JSON, nothing for None."""
    return str(value).lower() if isinstance(value, bool) else value


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:,}" if isinstance(value, int) else printable(str(value))


def printable(text: str) -> str:
    """Text for a terminal: what would move its cursor or colour it, as "?"."""
    return "".join(c if c.isprintable() else "?" for c in text)
