"""`pilogo build` as a person or a script meets it: real processes, real decimals."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from indexer.build import build_index
from indexer.compute import compute_digits
from indexer.digits import find_store
from indexer.index_files import open_index

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-c", "from query.entry import main; main()"]
N = 200_000
N_LONG = 3_000_000


def environment(home):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PILOGO", "NO_COLOR"))}
    return {**kept, "PILOGO_HOME": str(home)}


def pilogo(*arguments, home):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=ROOT, env=environment(home), timeout=120,
    )  # fmt: skip


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stamps(folder):
    """What changes where anything in a folder is written."""
    return {
        path: (path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A home that `pilogo build` made, and what it said."""
    home = tmp_path_factory.mktemp("built") / "home π"
    return home, pilogo("build", "--digits", "2e5", "--home", home, home="/nowhere")


@pytest.fixture
def there(built, tmp_path):
    """A copy of that home."""
    shutil.copytree(built[0], tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A store and its index that was built without a break."""
    store = compute_digits(tmp_path_factory.mktemp("unbroken"), N_LONG)
    build_index(store, threads=1)
    return store


def test_it_computes_and_builds_and_prints_the_folder(built):
    home, result = built
    folder = home / f"pi-{N}" / "index"
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{folder}\n"
    plan, before, done = result.stderr.splitlines()
    assert plan.startswith("the index of 200,000 decimals of pi, ")
    assert "of memory, " in plan
    assert " MB on disk and " in plan
    assert before.startswith("before that 200,000 decimals of pi are computed: about ")
    assert re.fullmatch(r"built in \d+ s; peak memory \d+ MB", done)
    store = find_store(home, "pi", N)
    assert (store.n, open_index(store).n) == (N, N)
    assert sorted(path.name for path in store.folder.iterdir()) == [
        "decimals.txt", "index", "manifest.json",
    ]  # fmt: skip


def test_the_plan_is_said_before_anything_is_made(tmp_path):
    """Progress and what is reused come after it."""
    result = pilogo("build", "--digits", 5000, "--progress", "--home", tmp_path, home=tmp_path)
    assert result.returncode == 0
    lines = result.stderr.splitlines()
    assert lines[0].startswith("the index of 5,000 decimals of pi, ")
    assert lines[1].startswith("before that ")
    stages = [line.split()[0] for line in lines[2:]]
    assert [stage for stage in dict.fromkeys(stages) if stage in {"learn", "code", "merge"}] == [
        "learn", "code", "merge",
    ]  # fmt: skip


def test_an_index_that_is_there_is_kept(there):
    before = stamps(there)
    result = pilogo("build", "--digits", "2e5", home=there)
    assert result.returncode == 0
    assert result.stdout == f"{there / f'pi-{N}' / 'index'}\n"
    said = "the index is complete, sound and kept (--replace builds it again)\n"
    assert result.stderr == said
    assert stamps(there) == before


def test_without_digits_the_largest_store_is_meant(there):
    compute_digits(there, 1000)
    result = pilogo("build", "--dry-run", home=there)
    assert (result.returncode, result.stdout) == (0, "")
    plan, told = result.stderr.splitlines()
    assert plan.startswith(f"the index of {N:,} decimals of pi, ")
    assert told == "it is built already: build would read it through, and mend it"


def test_without_a_store_ten_million_are_meant(tmp_path):
    result = pilogo("build", "--dry-run", home=tmp_path)
    assert result.returncode == 0
    assert result.stderr.startswith("the index of 10,000,000 decimals of pi, ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [[], ["--replace"]], ids=["new", "replace"])
def test_a_dry_run_says_what_it_takes_and_writes_nothing(there, more):
    digits = "1e9" if not more else "2e5"
    before = stamps(there)
    result = pilogo("build", "--digits", digits, "--dry-run", *more, home=there)
    assert (result.returncode, result.stdout) == (0, "")
    plan = result.stderr.splitlines()[0]
    assert " threads: about " in plan
    assert " of memory, " in plan
    assert " on disk and " in plan
    assert " while it is being built; " in plan
    if not more:
        assert "14.0 GB on disk and 24.0 GB while" in plan
        assert "65,536 lists" in plan
        assert "before that 1,000,000,000 decimals of pi are computed" in result.stderr
    assert stamps(there) == before


def test_a_dry_run_makes_no_home(tmp_path):
    result = pilogo("build", "--digits", "1e6", "--dry-run", home=tmp_path / "new")
    assert result.returncode == 0
    assert not (tmp_path / "new").exists()


def test_replace_builds_the_same_again(there):
    index = there / f"pi-{N}" / "index"
    before, inode, decimals = digests(index), index.stat().st_ino, stamps(index.parent.parent)
    result = pilogo("build", "--digits", "2e5", "--replace", home=there)
    assert (result.returncode, result.stdout) == (0, f"{index}\n")
    assert index.stat().st_ino != inode
    assert digests(index) == before
    text = index.parent / "decimals.txt"
    assert stamps(index.parent.parent)[text] == decimals[text]
    assert not (index.parent / "index.old").exists()


def test_a_damaged_index_is_refused_and_mended(there):
    index = there / f"pi-{N}" / "index"
    before = digests(index)
    (index / "coder.npz").write_bytes(b"nothing")
    refused = pilogo("verify", "--digits", "2e5", "--logos", "1", home=there)
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "coder.npz has 7 bytes; the manifest says" in refused.stderr
    assert refused.stderr.endswith("next: pilogo build --digits 2e5\n")
    result = pilogo("build", "--digits", "2e5", home=there)
    assert (result.returncode, result.stdout) == (0, f"{index}\n")
    assert "to be mended: " in result.stderr
    assert "coder.npz has 7 bytes" in result.stderr
    assert digests(index) == before
    assert not (index.parent / "index.old").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_build_goes_on_and_ends_in_the_same_bytes(unbroken, tmp_path, number, code):
    folder = tmp_path / unbroken.folder.name
    folder.mkdir()
    for name in ("decimals.txt", "manifest.json"):
        shutil.copy(unbroken.folder / name, folder)
    process = subprocess.Popen(
        [*COMMAND, "build", "--digits", "3e6", "--progress"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=environment(tmp_path),
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("code"):
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    if code == 130:
        assert err.splitlines()[-1] == "pilogo: interrupted"
    assert not (folder / "index").exists()
    assert (folder / "index.wip" / "coder.npz").exists()
    again = pilogo("build", "--digits", "3e6", home=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "reusing the codebooks that are there" in again.stderr.splitlines()
    assert not (folder / "index.wip").exists()
    assert digests(folder / "index") == digests(unbroken.folder / "index")


def test_two_builders_at_once_are_not_let_in(there):
    index = there / f"pi-{N}" / "index"
    shutil.rmtree(index)
    with FileLock(there / f"pi-{N}.lock"):
        result = pilogo("build", "--digits", "2e5", home=there)
    assert (result.returncode, result.stdout) == (4, "")
    complaint = result.stderr.splitlines()[-1]
    assert result.stderr.count("pilogo:") == 1
    assert f"pi-{N} is being made or indexed by process {os.getpid()}; wait" in complaint
    assert not index.exists()


def test_help_has_examples():
    result = pilogo("build", "-h", home="/nowhere")
    assert result.returncode == 0
    assert result.stderr == ""
    examples = result.stdout.split("Examples:")[1]
    assert "pilogo build --digits 1e9 --dry-run" in examples
    assert all(name in result.stdout for name in ("--replace", "--dry-run", "--home", "--constant"))


@pytest.mark.parametrize(
    "arguments",
    [("--digits", "83x"), ("--digits", "-5"), ("--threads", "0"), ("--constant", "tau")],
    ids=" ".join,
)
def test_arguments_that_cannot_work_are_refused(tmp_path, arguments):
    result = pilogo("build", *arguments, home=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert arguments[0] in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("digits", ["2", "83"])
def test_too_few_digits_for_a_window_are_refused(tmp_path, digits):
    result = pilogo("build", "--digits", digits, home=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


def test_another_constant_has_its_own_index(tmp_path):
    result = pilogo("build", "--digits", "1e4", "--constant", "e", home=tmp_path)
    assert result.returncode == 0
    assert result.stdout == f"{tmp_path / 'e-10000' / 'index'}\n"
    assert "10,000 decimals of e" in result.stderr
