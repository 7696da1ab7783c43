"""y-cruncher's files: a .ycd set of known decimals imported in place, proven, and searched there.

The set is written from the store by the tests' writer (tests/ycd_writer.py), in files of a tenth of
the decimals. What is imported must have the published decimal hash, and the scan of packed decimals
the answer of the scan of text.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from indexer.digits import check_store, choose_store
from indexer.options import Count, home_option
from indexer.packaged import data_file
from indexer.sources import ImportOptions, import_digits
from measuring.machine import HERE, describe, print_machine, run
from query.bitmap import parse_digits
from query.finder import Finder

_ROUNDS = 5
_FILES = 10


def _scan(finder: Finder, bitmap: np.ndarray) -> tuple[float, list[tuple[int, float]]]:
    answers = [finder.find(bitmap, exact=True) for _ in range(_ROUNDS)]
    seconds = float(np.median([answer.seconds for answer in answers[1:]]))
    return seconds, [(match.offset, match.distance) for match in answers[0].matches]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--digits", type=Count(), default=10**9, show_default=True, metavar="N")
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), default=Path(),
              help="A folder with room for the set: 0.43 bytes a decimal.")  # fmt: skip
@home_option
def main(digits: int, work: Path, home: Path) -> None:
    """Time a .ycd set: import in place, check, exact scan."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from ycd_writer import write_ycd  # noqa: PLC0415 - the tests' own

    print_machine(describe())
    source = choose_store(home, digits)
    work.mkdir(parents=True, exist_ok=True)
    bitmap = parse_digits(json.loads(data_file("contest.json").read_text("utf-8"))["bitmap"])
    with tempfile.TemporaryDirectory(dir=work) as folder:
        began = time.perf_counter()
        block = -(-digits // _FILES)
        paths = write_ycd(Path(folder), source.open(digits), block=block)
        print(f"written in {time.perf_counter() - began:.1f} s: {len(paths)} files")
        began = time.perf_counter()
        store = import_digits(Path(folder), paths[0], ImportOptions(in_place=True))
        print(f"imported in place in {time.perf_counter() - began:.1f} s")
        claims = [claim for claim in check_store(store) if "decimal hash" in claim.claim]
        for claim in claims:
            print(f"{claim.claim}: {claim.found} {'as known' if claim.ok else 'WRONG'}")
        packed, found = _scan(Finder(folder, digits=digits), bitmap)
        text, expected = _scan(Finder(home, digits=digits), bitmap)
        print(f"scan of packed decimals {packed:.3f} s, of text {text:.3f} s: {packed / text:.1f}")
        if found != expected or not all(claim.ok for claim in claims):
            raise click.ClickException("answers differ, or the hash is not the published one")
        print("the same answer")


if __name__ == "__main__":
    run(main)
