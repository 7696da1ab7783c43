"""Who may import whom, and what may be imported where."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("indexer/**/*.py"), *ROOT.glob("query/**/*.py")])
ONLY_IN = {
    "llvmlite": {"ir.py"},
    "faiss": {"faiss_files.py"},
    "threadpoolctl": {"blas.py"},
    "PIL": {
        "bitmap.py",
        "picture.py",
        "sheet.py",
        "plot.py",
        "calibration_plot.py",
        "lettering.py",
    },
    "flint": {"series.py"},
    "click": {
        "cli.py",
        "build_cli.py",
        "check_cli.py",
        "serve_cli.py",
        "verify_cli.py",
        "options.py",
        "entry.py",
    },
    "resvg_py": {"svg_painter.py"},
    "starlette": {"guard.py", "routes.py"},
    "uvicorn": {"server.py"},
    "distributed": {"cluster.py"},
}


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way_and_heavy_ones_stay_in_their_modules(path):
    roots = {name.split(".")[0] for name in imports(path)}
    if path.relative_to(ROOT).parts[0] == "indexer":
        assert "query" not in roots
    for package, modules in ONLY_IN.items():
        if package in roots:
            assert path.name in modules
    assert not roots & {"pickle", "marshal", "shelve"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_stay_short_and_say_what_they_are(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 500
    assert ast.get_docstring(ast.parse(text))


def test_help_does_not_import_what_it_does_not_need():
    code = (
        "import sys\nfrom query.cli import cli\n"
        "try: cli.main(['--help'], prog_name='pilogo')\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'llvmlite', 'flint', 'PIL', 'platformdirs'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.splitlines()[-1] == "[]"
