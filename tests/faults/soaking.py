"""A long row of queries in one process, which tells what it holds; test_soak.py runs it.

    python soaking.py HOME QUERIES

prints a JSON object for every Finder that was opened and dropped.
"""

import gc
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

import query.finder
from indexer.corpus import all_held_out_logos, training_logos
from indexer.window import HEIGHT, WIDTH
from query.finder import Finder

QUERIES_A_FINDER = 50


def holdings(process: str = "self") -> dict[str, int]:
    """Bytes of memory that no file backs, open files, threads and mapped files of a process."""
    folder = Path("/proc") / process
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return {
        "memory": int(status["RssAnon"].split()[0]) * 1024,
        "files": len(list((folder / "fd").iterdir())),
        "threads": int(status["Threads"]),
        "maps": (folder / "maps").read_text().count(" /"),
    }


def main(home: str, queries: int) -> None:
    """Ask by turns the index and the scan, in every way there is."""
    logos = np.concatenate([all_held_out_logos(), training_logos()]).reshape(-1, HEIGHT, WIDTH)
    # In so few decimals a scan is cheaper: half of the questions are told that it is not.
    expected_seconds = query.finder.expected_seconds
    choose = random.Random(19)  # noqa: S311 - no secret
    modes: Counter[str] = Counter()
    for first in range(0, queries, QUERIES_A_FINDER):
        finder = Finder(home, threads=choose.choice((1, 2)))
        for number in range(first, min(first + QUERIES_A_FINDER, queries)):
            slow = number % 2 == 0
            query.finder.expected_seconds = (lambda *_: 10.0) if slow else expected_seconds
            top = choose.choice((1, 10, 10, 100))
            answer = finder.find(
                logos[number % len(logos)],
                metric=choose.choice(("l1", "l2", "gray-l1")),
                top=top,
                missed=choose.choice((0.001, 0.01, 0.1, 1.0)),
                exact=choose.random() < 0.1,
                distinct=choose.random() < 0.1,
            )
            assert len(answer.matches) == top
            modes[answer.mode] += 1
        del finder, answer
        gc.collect()
        time.sleep(0.02)  # threads of the last scan, joined already, are gone then
        print(json.dumps({"queries": number + 1, **modes, **holdings()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
