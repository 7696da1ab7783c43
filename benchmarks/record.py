"""Results as files: what was measured, on what machine, of which code; is it still the code?

    save("results/scan-1e9.json", "scan", {"digits": 10**9}, figures, SCAN)
    stale(read("results/scan-1e9.json"))       # modules that changed since: a re-run is due

A module counts as changed where its code is, without comments and docstrings: sentences do not make
a figure old.
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

from machine import describe

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"

# What decides how fast each part is, and what it answers: files, or folders of them.
SCAN = (
    "indexer/ir.py",
    "query/assembly",
    "query/kernels.py",
    "query/plan.py",
    "query/ranking.py",
    "query/scan.py",
    "query/significance.py",
)
INDEX = (
    "indexer/answers.py",
    "indexer/cells.py",
    "indexer/ir.py",
    "indexer/learning.py",
    "indexer/projection.py",
    "query/assembly",
    "query/calibration.py",
    "query/candidates.py",
    "query/list_shards.py",
    "query/lists.py",
    "query/ranking.py",
    "query/significance.py",
    "query/simulation.py",
)
BUILD = (
    "indexer/build.py",
    "indexer/cells.py",
    "indexer/coding.py",
    "indexer/coding_assembly.py",
    "indexer/ir.py",
    "indexer/learning.py",
    "indexer/merge.py",
    "indexer/parts.py",
    "indexer/projection.py",
)


def fingerprints(modules: Sequence[str]) -> dict[str, str]:
    """SHA-256 of the code of each module, by its path from the project's root."""
    files: list[Path] = []
    for module in modules:
        path = ROOT / module
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return {str(file.relative_to(ROOT)): _fingerprint(file.read_text("utf-8")) for file in files}


def _fingerprint(source: str) -> str:
    """Of the lines that are left without comments and docstrings, whatever the Python."""
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
    code = "\n".join(line.rstrip() for line in lines if line.strip())
    return hashlib.sha256(code.encode()).hexdigest()


def save(
    path: Path,
    benchmark: str,
    arguments: dict[str, Any],
    results: dict[str, Any],
    modules: Sequence[str],
) -> None:
    """Write one result: figures that JSON can hold, measured of these modules as they are."""
    content = {
        "benchmark": benchmark,
        "when": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": describe(),
        "arguments": arguments,
        "results": results,
        "code": fingerprints(modules),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """One result, as `save` wrote it."""
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def stale(result: dict[str, Any]) -> list[str]:
    """The modules that are not what they were when the result was measured, missing ones too."""
    changed = []
    for module, digest in result["code"].items():
        file = ROOT / module
        if not file.is_file() or _fingerprint(file.read_text("utf-8")) != digest:
            changed.append(module)
    return changed
