"""What is said of the stores of a home: what they are, and whether each claim about them holds.

Nothing stops at the first broken store: all are looked at, and what is wrong is handed back.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indexer.digits import (
    DigitStore,
    SurveyedStore,
    check_store,
    choose_store,
    survey_stores,
)
from indexer.errors import ClaimFailed, StoreDamaged
from indexer.home import digits_command, remake_command, short_count, store_folder
from indexer.known import known_reach
from indexer.progress import Progress, silent
from indexer.rows import Row

INFO_COLUMNS = ("constant", "n", "bytes", "path", "how", "with", "when", "first_offset", "ok")
READABLE = "readable"
CLAIM_COLUMNS = ("constant", "n", "claim", "expected", "found", "first_offset", "ok")


@dataclass
class Findings:
    """Rows about stores, what is wrong with which folder, and notes for a person.

    A row's ok is True, False, or None where nothing known can tell.
    """

    rows: list[Row] = field(default_factory=list)
    damaged: list[tuple[Path, StoreDamaged]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def raise_damaged(self, n_stores: int) -> None:
        """StoreDamaged if any store is, with the command that mends the first."""
        if self.damaged:
            names = ", ".join(folder.name for folder, _ in self.damaged[:5])
            more = ", …" if len(self.damaged) > 5 else ""
            raise StoreDamaged(
                f"{len(self.damaged)} of {n_stores} stores cannot be used: {names}{more}; "
                f"next: {remake_command(self.damaged[0][0])}"
            )

    def raise_failed(self, home: Path) -> None:
        """ClaimFailed if any claim does not hold, with the command that mends the first."""
        claims = [row for row in self.rows if row["ok"] is not None]
        failed = [row for row in claims if not row["ok"]]
        if failed:
            row = failed[0]
            folder = store_folder(home, row["constant"], row["n"], row["first_offset"])
            raise ClaimFailed(
                f"{len(failed)} of {len(claims)} claims fail; the first: {folder.name}, "
                f"{row['claim']} is {row['found']}, expected {row['expected']}; "
                f"next: {remake_command(folder)}"
            )


def describe_stores(home: Path) -> Findings:
    """A row of INFO_COLUMNS for each store; cost O(1) a store, the decimals are not read."""
    findings = Findings()
    for entry in survey_stores(home):
        damage = entry.damage
        row: Row = {"constant": entry.constant, "n": entry.n, "bytes": None}
        row["first_offset"] = entry.first_offset
        row |= {"path": str(entry.folder), "how": "", "with": "", "when": ""}
        if entry.store:
            made = entry.store.made
            row |= {
                "bytes": entry.store.n_bytes,
                "path": str(entry.store.path),
                "how": str(made.get("how", "")),
                "with": str(made.get("with") or made.get("source", "")),
                "when": str(made.get("when", "")),
            }
            try:
                entry.store.decimals()
            except StoreDamaged as error:
                damage = error
        if damage:
            findings.damaged.append((entry.folder, damage))
        findings.rows.append({**row, "ok": damage is None})
    return findings


def stores_to_check(
    home: Path, digits: int | None, constant: str, first_offset: int | None = None
) -> list[SurveyedStore]:
    """Every store of a constant, those that begin at an offset, or the one that `digits` means.

    StoreMissing where there is none.
    """
    found = [entry for entry in survey_stores(home) if entry.constant == constant]
    if first_offset is not None or digits is not None:
        found = [entry for entry in found if entry.first_offset == (first_offset or 1)]
    if digits is not None:
        found = [entry for entry in found if entry.n >= digits][:1]
    if not found:
        choose_store(home, digits, constant, first_offset)  # says what is missing
    return found


def check_stores(
    entries: Sequence[SurveyedStore],
    recompute: Callable[[DigitStore], int] | None = None,
    progress: Progress = silent,
) -> Findings:
    """Rows of CLAIM_COLUMNS for each store: readable, every claim, how far known values reach.

    recompute gives the decimal hash of a store's number, proven anew (`compute.recompute_hash`).
    """
    findings = Findings()
    for entry in entries:
        label: Row = {"constant": entry.constant, "n": entry.n}
        label["first_offset"] = entry.first_offset
        try:
            store = entry.sound()
            store.decimals(prove_ends=store.in_place)  # before the long work
            proven = recompute(store) if recompute else None
            claims = check_store(store, progress, proven_hash=proven)
        except StoreDamaged as error:
            findings.damaged.append((entry.folder, error))
            row = {"claim": READABLE, "expected": "a complete store", "found": str(error)}
            findings.rows.append({**label, **row, "ok": False})
            continue
        findings.rows += [{**label, **dataclasses.asdict(c), "ok": c.ok} for c in claims]
        if recompute:
            continue
        findings.rows.append({**label, **_coverage(entry)})
        if note := reach_note(store, entry.folder.parent):
            findings.notes.append(f"{entry.folder.name}: {note}")
    return findings


def columns_for(format_: str, columns: Sequence[str], rows: Sequence[Row]) -> Sequence[str]:
    """The columns to print: for people without first_offset where every store begins at 1."""
    whole = all(row["first_offset"] == 1 for row in rows)
    if format_ != "table" or not whole:
        return columns
    return [name for name in columns if name != "first_offset"]


def shorten_claims(rows: Sequence[Row]) -> list[Row]:
    """The rows for a narrow table: a long value that is right need not stand there twice."""
    short = []
    for row in rows:
        found = "the same" if row["ok"] else row["found"]
        short.append({**row, "found": "a damaged one" if row["claim"] == READABLE else found})
    return short


def _coverage(entry: SurveyedStore) -> Row:
    reach = known_reach(entry.constant, entry.n, entry.first_offset)
    whole = f"all {entry.n:,} decimals"
    found = whole if reach == entry.n else f"the first {reach:,}"
    ok = True if reach == entry.n else None
    return {"claim": "known values cover", "expected": whole, "found": found, "ok": ok}


def reach_note(store: DigitStore, home: Path) -> str:
    """A sentence where known values end before a store's decimals do; else nothing."""
    constant, n = store.constant, store.n
    if store.first_offset > 1:
        return (
            f"the {n:,} decimals from offset {store.first_offset:,} on are as the file has them: "
            "no value is known of them as a whole"
        )
    reach = known_reach(constant, n)
    if reach == n:
        return ""
    command = digits_command(f"check --digits {short_count(n)} --recompute", constant, home)
    return (
        f"known values cover the first {reach:,} of {n:,} decimals; "
        f"the rest is as the file has it: `{command}` proves it"
    )
