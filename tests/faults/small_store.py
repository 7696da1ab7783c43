"""The names in a small store with its index, and what is to be true of its bytes and answers."""

import hashlib
import json
from pathlib import Path

from indexer.corpus import held_out_logos
from indexer.index_folders import INDEX_NAME
from indexer.index_manifest import CODER_NAME, FAISS_NAME, LISTS_NAME, MANIFEST_NAME
from indexer.manifest import DECIMALS_NAME
from indexer.window import WINDOW
from program import SMALL, Outcome
from query.bitmap import format_digits

STORE = f"pi-{SMALL}"
OF_INDEX, CODER, FAISS, LISTS = (
    f"{INDEX_NAME}/{name}" for name in (MANIFEST_NAME, CODER_NAME, FAISS_NAME, LISTS_NAME)
)
MANIFESTS = (MANIFEST_NAME, OF_INDEX)
SMALL_FILES = (*MANIFESTS, CODER, FAISS)
LARGE_FILES = (DECIMALS_NAME, LISTS)
FILES = (*SMALL_FILES, *LARGE_FILES)
# A logo that the index was not learned from.
LOGO = format_digits(held_out_logos()[0].reshape(6, 14))


def find(n: int = SMALL) -> tuple[str, ...]:
    """The words of a question for the logo."""
    return "find", LOGO, "--digits", str(n), "--format", "json"


def matches_of(found: Outcome) -> list[dict]:
    """The matches of an answer; an AssertionError where there is none."""
    assert found.code == 0, found
    return json.loads(found.out)["matches"]


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_true(matches: list[dict], decimals: str) -> None:
    """Every match is what the decimals at its offset are, and as far from the logo as those."""
    for match in matches:
        window = decimals[match["offset"] - 1 :][:WINDOW]
        distance = sum(abs(int(a) - int(b)) for a, b in zip(window, LOGO, strict=True))
        assert (match["sequence"], match["distance"]) == (window, distance)
