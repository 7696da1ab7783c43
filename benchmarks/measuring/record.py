"""Results as files: what was measured, on what machine, of which code; is it still the code?

    save("results/scan-1e9.json", "scan", {"digits": 10**9}, figures, SCAN)
    stale(read("results/scan-1e9.json"))       # modules that changed since: a re-run is due

A module counts as changed where its code is, without comments and docstrings: sentences do not make
a figure old. Other files count by their bytes, folders by the modules in them.
"""

import ast
import datetime as dt
import hashlib
import io
import json
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"

# What decides how fast each part is, and what it answers: files, or folders of modules.
SCAN = (
    "indexer/ir.py",
    "query/assembly",
    "query/chunks.py",
    "query/kernels.py",
    "query/metrics.py",
    "query/plan.py",
    "query/ranking.py",
    "query/scan.py",
    "query/significance.py",
)
TOGETHER = (*SCAN, "query/sharing.py", "query/together.py")
LEARNING = (
    "data/logos.npz",
    "indexer/answers.py",
    "indexer/cells.py",
    "indexer/corpus.py",
    "indexer/faiss_files.py",
    "indexer/learning.py",
    "indexer/projection.py",
)
INDEX = (
    *LEARNING,
    "indexer/ir.py",
    "query/assembly",
    "query/calibration.py",
    "query/candidates.py",
    "query/finder.py",
    "query/list_shards.py",
    "query/lists.py",
    "query/metrics.py",
    "query/ranking.py",
    "query/shards.py",
    "query/significance.py",
    "query/simulation.py",
)
BUILD = (
    *LEARNING,
    "indexer/build.py",
    "indexer/coding.py",
    "indexer/coding_assembly.py",
    "indexer/ir.py",
    "indexer/merge.py",
    "indexer/parts.py",
)
# What a command does before and beside the search.
START = (
    "indexer/digits.py",
    "indexer/index_files.py",
    "query/bitmap.py",
    "query/cli.py",
    "query/entry.py",
    "query/picture.py",
    "query/report.py",
    "query/shrink.py",
)


def fingerprints(modules: Sequence[str]) -> dict[str, str]:
    """SHA-256 of the code of each module, by its path from the project's root."""
    files: list[Path] = []
    for module in dict.fromkeys(modules):
        path = ROOT / module
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return {file.relative_to(ROOT).as_posix(): _fingerprint(file) for file in files}


def _fingerprint(file: Path) -> str:
    content = file.read_bytes()
    if file.suffix == ".py":
        content = _code(content.decode("utf-8")).encode()
    return hashlib.sha256(content).hexdigest()


def _code(source: str) -> str:
    """The lines that are left without comments and docstrings, whatever the Python."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node):
            text = node.body[0]
            lines[text.lineno - 1 : text.end_lineno] = [""] * (text.end_lineno - text.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def save(
    path: Path,
    benchmark: str,
    arguments: dict[str, Any],
    results: dict[str, Any],
    modules: Sequence[str],
    machine: dict[str, str],
) -> None:
    """Write one result: figures that JSON can hold, measured of these modules as they are.

    machine is `describe()` from before the measurement, so that its load is not the benchmark's.
    """
    content = {
        "benchmark": benchmark,
        "when": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "arguments": arguments,
        "results": results,
        "modules": list(modules),
        "code": fingerprints(modules),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, default=_plain) + "\n"
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _plain(value: Any) -> Any:
    """A number of NumPy's as Python's, an array as a list: no figure is lost at the last moment."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} in a result; a number, text, list or dict goes there")


def read(path: Path) -> dict[str, Any]:
    """One result, as `save` wrote it."""
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def stale(result: dict[str, Any]) -> list[str]:
    """The modules that are not what they were when the result was measured.

    Those that have gone, and those that have come into a folder, are among them.
    """
    before = result["code"]
    there = [module for module in result["modules"] if (ROOT / module).exists()]
    after = fingerprints(there)
    return sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
