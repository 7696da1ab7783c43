"""Stores that may be read and not written, and homes that cannot be used (item 13).

Unwritable in three ways: by permissions, the program running without root's right to ignore them;
by permissions of the store's folder alone; and on a read-only mount.
"""

import contextlib
import csv
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import program
from program import SMALL, Outcome, run

STORE = f"pi-{SMALL}"
N = str(SMALL)
# Root is an ordinary user without these.
RIGHTS = "-dac_override,-dac_read_search,-fowner"
REASON = {
    "permissions": "Permission denied",
    "the folder's permissions": "Permission denied",
    "read-only mount": "Read-only file system",
}
# `pilogo` where a scan would take ten seconds: the index answers, as it would at 10^9 decimals.
SLOW_SCANS = """
import query.finder
query.finder.expected_seconds = lambda n_windows, threads, kernel: 10.0
from query.entry import main
main()
"""


@pytest.fixture
def unprivileged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Permissions bind the program, and the index answers; skips where root cannot give it up.

    Called with words, it puts them before the command.
    """
    prefix = ["setpriv", f"--bounding-set={RIGHTS}"] if os.geteuid() == 0 else []
    if prefix:
        try:
            subprocess.run([*prefix, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"root cannot give up its right to write everywhere: {error}")
    (tmp_path / "pilogo.py").write_text(SLOW_SCANS)
    script = tmp_path / "pilogo.sh"

    def run_after(*words: str) -> None:
        command = shlex.join([*words, *prefix, sys.executable, str(tmp_path / "pilogo.py")])
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)

    run_after()
    monkeypatch.setattr(program, "PROGRAM", script)
    return run_after


def set_writable(folder: Path, writable: bool) -> None:
    """Let the owner write in a folder and all that it holds, or not."""
    for path in [folder, *folder.rglob("*")]:
        mode = path.stat().st_mode
        path.chmod(mode | stat.S_IWUSR if writable else mode & ~0o222)


@contextlib.contextmanager
def mounted_read_only(home: Path) -> Iterator[list[str]]:
    """A home on a read-only mount in a namespace: the words that run a command there."""
    root = os.geteuid() == 0
    alone = [] if root else ["--user", "--map-root-user"]
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && echo mounted && exec cat'
    command = ["unshare", "--mount", *alone, "sh", "-c", script, "sh", str(home)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, **pipes) as holder:
        said = holder.stdout.readline()
        if said != b"mounted\n":
            raise OSError(said.decode("utf-8", "replace").strip() or "unshare said nothing")
        there = [] if root else ["--user", "--preserve-credentials"]
        yield ["nsenter", "--mount", *there, "--target", str(holder.pid)]
        # leaving closes cat's input: it ends, and with it the namespace


@pytest.fixture(params=REASON)
def read_only(
    request: pytest.FixtureRequest, small_copy: Path, unprivileged: Callable[..., None]
) -> Iterator[tuple[str, Path]]:
    """(how, home): the small store, which the program may read and not write."""
    how = request.param
    if how == "read-only mount":
        with contextlib.ExitStack() as stack:
            try:
                unprivileged(*stack.enter_context(mounted_read_only(small_copy)))
            except OSError as error:
                pytest.skip(f"nothing can be mounted read-only here: {error}")
            yield how, small_copy
        return
    folder = small_copy if how == "permissions" else small_copy / STORE
    set_writable(folder, False)
    yield how, small_copy
    set_writable(folder, True)


def content(home: Path) -> dict[Path, tuple[int, int]]:
    """(bytes, time of the last change) of every file of a home but locks, which are empty."""
    return {
        path.relative_to(home): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in home.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


Rows = list[tuple[str, str]]


def answer_of(outcome: Outcome) -> tuple[str, Rows]:
    """(mode, offsets and distances) of an answer in CSV."""
    outcome.assert_clean()
    assert outcome.code == 0, outcome.err
    rows = list(csv.DictReader(outcome.out.splitlines()))
    (mode,) = {row["mode"] for row in rows}
    return mode, [(row["offset"], row["distance"]) for row in rows]


@pytest.fixture(scope="module")
def find(contest: dict) -> tuple[str, ...]:
    return ("find", contest["bitmap"], "--digits", N, "--format", "csv")


@pytest.fixture(scope="module")
def wanted(small_home: Path, find: tuple[str, ...]) -> Rows:
    """The right answer."""
    return answer_of(run(small_home, *find, "--exact"))[1]


def assert_refused(outcome: Outcome, where: Path, reason: str) -> None:
    """Exit code 4 and one line with the name that cannot be written, and why."""
    outcome.assert_clean()
    assert outcome.code == 4, outcome
    (line,) = (text for text in outcome.err.splitlines() if text.startswith("pilogo: "))
    assert str(where) in line, line
    assert reason in line, line


def test_a_store_that_may_only_be_read_answers(tally, full, read_only, find, wanted):
    how, home = read_only
    row = tally(13)
    for mode, more in (("index", ()), ("scan", ("--exact",))):
        with row.case(f"{how}: {mode}"):
            assert answer_of(run(home, *find, *more)) == (mode, wanted)
    for word in ("info", "check") if full else ("check",):
        with row.case(f"{how}: digits {word}"):
            outcome = run(home, "digits", word)
            outcome.assert_clean()
            assert outcome.code == 0, outcome.err
            assert f"{SMALL:,}" in outcome.out
            assert "damaged" not in outcome.err


def test_an_index_that_is_complete_is_kept(tally, read_only):
    how, home = read_only
    with tally(13).case(f"{how}: build"):
        outcome = run(home, "build", "--digits", N)
        outcome.assert_clean()
        assert outcome.code == 0, outcome.err
        assert "kept" in outcome.err
        assert outcome.out == f"{home / STORE / 'index'}\n"


def test_what_cannot_be_written_is_explained(tally, full, read_only, small_home):
    """And nothing has changed, not even where a part of it could have been."""
    how, home = read_only
    row = tally(13)
    text = str(small_home / STORE / "decimals.txt")
    commands = [
        ("build", "--digits", N, "--replace"),
        ("digits", "compute", N, "--replace"),
        ("digits", "import", text, "--replace"),
        ("build", "--digits", "1000"),
        ("digits", "compute", "1000"),
        ("digits", "import", text, "--first", "1000"),
    ]
    if how == "the folder's permissions":  # other stores can be made beside it
        commands = commands[:3]
    if not full:
        commands = commands[:2]
    for command in commands:
        with row.case(f"{how}: {' '.join(command[:2])} {command[-1]}"):
            before = content(home)
            assert_refused(run(home, *command), home, REASON[how])
            assert content(home) == before


def test_the_users_own_home_is_not_needed(tally, unprivileged, small_home, find, wanted, tmp_path):
    """It may be unwritable or not there, and a cache of compiled routines be nowhere."""
    row = tally(13)
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    set_writable(nowhere, False)
    for label, more in {
        "HOME cannot be written": {"HOME": nowhere},
        "HOME is not there": {"HOME": nowhere / "none"},
        "NUMBA_CACHE_DIR cannot be written": {"NUMBA_CACHE_DIR": nowhere},
    }.items():
        with row.case(label):
            texts = {name: str(path) for name, path in more.items()}
            assert answer_of(run(small_home, *find, **texts)) == ("index", wanted)
    with row.case("HOME is not there, and no PILOGO_HOME"):
        unset = {"PILOGO_HOME": "", "XDG_DATA_HOME": ""}
        home = nowhere / "none"
        for command in (find, ("build",), ("digits", "compute", "1000")):
            outcome = run(small_home, *command, HOME=str(home), **unset)
            assert_refused(outcome, home.parent, REASON["permissions"])
    set_writable(nowhere, True)
