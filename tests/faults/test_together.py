"""Builders that meet, and readers beside a builder (items 10 and 11).

"Held" means SIGSTOP while a process has the lock, so that the other one meets it for certain.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import indexer.build
import query.finder
from indexer.build import build_index
from indexer.corpus import held_out_logos
from indexer.digits import DigitStore, find_store
from indexer.index_files import Index, coder_bytes, has_index, open_index
from indexer.index_folders import is_half_built, publish_index
from indexer.learning import learn_coder
from indexer.merge import ENTRY_BYTES
from indexer.window import count_windows
from program import PROGRAM, SMALL, Outcome, environment, run
from query import Finder
from query.bitmap import format_digits

STORE = f"pi-{SMALL}"
BUILD = ("build", "--digits", str(SMALL), "--threads", "1", "--no-progress")
COMPUTE = ("digits", "compute", str(SMALL), "--threads", "1", "--no-progress", "--replace")
FIND = ("find", "--digits", str(SMALL), "--format", "json", "--threads", "1")
LOGOS = held_out_logos().reshape(-1, 6, 14)[:5]
# Seconds that a command may take when another one has the lock: one from there on, and before
# that a start on a processor that others use; more where more than two wait for each.
LEAVES = 2.5
BUSY = 2
# A second build of the same decimals whose files are others: with the coder of fewer of them.
FEWER = 100_000

# `pilogo` where a scan would take ten seconds: the index answers, as it would at 10^9 decimals.
SLOW_SCANS = """
import query.finder
query.finder.expected_seconds = lambda n_windows, threads, kernel: 10.0
from query.entry import main
main()
"""
# Builds the index of one store so many times, with the coder in a file and with its own by turns.
PUBLISHER = """
import itertools, sys
from pathlib import Path
from indexer.build import build_index
from indexer.digits import find_store
store = find_store(Path(sys.argv[1]), "pi", int(sys.argv[2]))
coders = Path(sys.argv[4]).read_bytes(), None
for coder in itertools.islice(itertools.cycle(coders), int(sys.argv[3])):
    build_index(store, threads=1, replace=True, coder=coder)
    print(flush=True)
"""


@contextlib.contextmanager
def started(home: Path, *command: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that is dead when the block is left, and after ten minutes in any case."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(home), text=True, **pipes) as process:
        alarm = threading.Timer(600, process.kill)
        alarm.start()
        try:
            yield process
        finally:
            alarm.cancel()
            process.kill()


def ended(process: "subprocess.Popen[str]", began: float) -> Outcome:
    out, err = process.communicate()
    return Outcome(process.returncode, out, err, time.monotonic() - began)


def wait_for(sign: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait until a running process gives a sign."""
    limit = time.monotonic() + 60
    while not sign():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < limit, "no sign in a minute"
        time.sleep(0.002)


def hashes(home: Path) -> dict[str, str]:
    """SHA-256 of every file that is the same whenever the small store is made."""
    store = home / STORE
    files = [store / "decimals.txt", *(store / "index").rglob("*")]
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file()
    }


def assert_done(outcome: Outcome) -> None:
    outcome.assert_clean()
    assert outcome.code == 0, outcome.err


def assert_refused(outcome: Outcome, holder: int) -> None:
    """It left in time, with one line that names the process in its way."""
    outcome.assert_clean()
    assert outcome.code == 4, outcome
    (line,) = (text for text in outcome.err.splitlines() if text.startswith("pilogo: "))
    assert re.search(rf"\bprocess {holder}\b", line), (holder, line)
    busy = os.getloadavg()[0] / (BUSY * os.cpu_count())
    assert outcome.seconds < LEAVES * max(1, busy), outcome


@pytest.fixture
def decimals_home(small_home: Path, tmp_path: Path) -> Path:
    """A home with the small decimals and no index."""
    home = tmp_path / "decimals"
    shutil.copytree(small_home / STORE, home / STORE, ignore=shutil.ignore_patterns("index*"))
    return home


def assert_made(home: Path, small_home: Path) -> None:
    """The index is the one made elsewhere, and no work is left."""
    assert hashes(home) == hashes(small_home)
    assert [path.name for path in (home / STORE).iterdir() if path.is_dir()] == ["index"]


def remove_index(home: Path) -> None:
    for folder in (home / STORE).glob("index*"):
        if folder.is_dir():
            shutil.rmtree(folder)


# --- two builders -------------------------------------------------------------------------------


def race(home: Path, delay: float) -> list[tuple[int, Outcome]]:
    """(process, how it ended) of two builds, the second begun so many seconds after the first."""

    def build() -> tuple[int, Outcome]:
        began = time.monotonic()
        with started(home, PROGRAM, *BUILD) as process:
            return process.pid, ended(process, began)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(build)
        time.sleep(delay)
        second = pool.submit(build)
        return [first.result(), second.result()]


def test_two_builders(tally, full, decimals_home, small_home):
    row = tally(10)
    delays = np.random.default_rng(10).uniform(0, 0.3, 20 if full else 1)
    for number, delay in enumerate(delays):
        with row.case(f"two builders, number {number}, {delay:.2f} s apart"):
            remove_index(decimals_home)
            found = race(decimals_home, delay)
            (winner, done), (_, refused) = sorted(found, key=lambda pair: pair[1].code)
            assert_done(done)
            assert_refused(refused, winner)
            assert_made(decimals_home, small_home)


@contextlib.contextmanager
def held(home: Path, work: Path, *command: str) -> Iterator["subprocess.Popen[str]"]:
    """A command that has the lock and stands still."""
    with started(home, PROGRAM, *command) as process:
        wait_for(work.is_dir, process)
        process.send_signal(signal.SIGSTOP)
        yield process


def test_the_lock_dies_with_its_process(tally, full, decimals_home, small_home):
    """The next one does not wait."""
    row = tally(10)
    for number in range(20 if full else 1):
        with row.case(f"killed builder, number {number}"):
            remove_index(decimals_home)
            work = decimals_home / STORE / "index.wip"
            with held(decimals_home, work, *BUILD) as builder:
                assert_refused(run(decimals_home, *BUILD), builder.pid)
                builder.kill()
                builder.wait()
                assert_done(run(decimals_home, *BUILD))
            assert_made(decimals_home, small_home)


def test_a_builder_and_one_who_makes_the_decimals_again(tally, full, small_copy, small_home):
    """They share one lock: HOME/pi-N.lock."""
    row = tally(10)
    index_work, work = small_copy / STORE / "index.wip", small_copy / f"{STORE}.wip"
    text = str(small_home / STORE / "decimals.txt")
    build, take = (*BUILD, "--replace"), ("digits", "import", text, "--replace", "--no-progress")
    meetings = [
        ("compute", build, index_work, COMPUTE),
        ("build", COMPUTE, work, build),
        ("import", build, index_work, take),
    ]
    for number in range(7 if full else 1):
        for name, first, sign, second in meetings:
            with row.case(f"{name} refused, number {number}"):
                with held(small_copy, sign, *first) as holder:
                    began = time.monotonic()
                    assert_refused(run(small_copy, *second), holder.pid)
                    holder.send_signal(signal.SIGCONT)
                    assert_done(ended(holder, began))
                assert_made(small_copy, small_home)


# --- readers beside a builder -------------------------------------------------------------------


def matches_of(out: str) -> list[tuple[int, int]]:
    """(offset, distance) of each match of a JSON answer."""
    return [(match["offset"], match["distance"]) for match in json.loads(out)["matches"]]


def test_a_reader_beside_a_builder(tally, full, small_copy):
    row = tally(10)
    logos = [format_digits(logo) for logo in LOGOS]
    before = {logo: matches_of(run(small_copy, *FIND, logo).out) for logo in logos}
    asked = 0
    while asked < (20 if full else 3):
        began = time.monotonic()
        with started(small_copy, PROGRAM, *BUILD, "--replace") as builder:
            wait_for((small_copy / STORE / "index.wip").is_dir, builder)
            while builder.poll() is None:
                logo = logos[asked % len(logos)]
                with row.case(f"reader, number {asked}"):
                    answer = run(small_copy, *FIND, logo)
                    assert_done(answer)
                    assert matches_of(answer.out) == before[logo]
                asked += 1
            assert_done(ended(builder, began))


# --- an index published while questions are asked -----------------------------------------------


@pytest.fixture(scope="module")
def other_coder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A coder.npz with fewer cells than that of the small store."""
    path = tmp_path_factory.mktemp("coder") / "coder.npz"
    path.write_bytes(coder_bytes(learn_coder(FEWER)))
    return path


@pytest.fixture
def slow_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index answers, as it would at 10^9 decimals."""
    monkeypatch.setattr(query.finder, "expected_seconds", lambda n_windows, threads, kernel: 10.0)


Key = tuple[str, list[tuple[int, float]]]


def answer_key(finder: Finder, logo: np.ndarray) -> Key:
    """(mode, offsets and distances): what may not change when the index is replaced."""
    answer = finder.find(logo)
    return answer.mode, [(match.offset, match.distance) for match in answer.matches]


class Publisher:
    """A process that publishes one index after the other; counts them as it says so."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._published = 0
        os.set_blocking(process.stdout.fileno(), False)

    def published(self) -> int:
        """How many indexes it has published; an AssertionError where it failed."""
        with contextlib.suppress(BlockingIOError):
            self._published += os.read(self._process.stdout.fileno(), 4096).count(b"\n")
        assert self._process.poll() in {None, 0}, self._process.stderr.read()
        return self._published


@contextlib.contextmanager
def publishing(home: Path, swaps: int, coder: Path) -> Iterator[Publisher]:
    command = [sys.executable, "-c", PUBLISHER, home, SMALL, swaps, coder]
    with started(home, *map(str, command)) as process:
        yield Publisher(process)


def test_questions_while_indexes_are_published(tally, full, small_copy, slow_scans, other_coder):
    """Asked of a finder that stays open, and of one opened for each question."""
    row = tally(11)
    staying = Finder(small_copy, threads=1)
    before = [answer_key(staying, logo) for logo in LOGOS]
    assert {mode for mode, _ in before} == {"index"}
    swaps = 20 if full else 2
    with publishing(small_copy, swaps, other_coder) as publisher:
        for swap in range(swaps):
            with row.case(f"swap {swap}"):
                waiting = True
                while waiting:
                    waiting = publisher.published() <= swap
                    for logo, wanted in zip(LOGOS, before, strict=True):
                        assert answer_key(Finder(small_copy, threads=1), logo) == wanted
                        assert answer_key(staying, logo) == wanted


def test_a_stream_while_indexes_are_published(tally, full, small_copy, other_coder):
    row = tally(11)
    logos = [format_digits(logo) for logo in LOGOS]
    stream = (sys.executable, "-c", SLOW_SCANS, "find", "-", *FIND[1:])
    swaps = 20 if full else 1
    with (
        started(small_copy, *stream) as finding,
        publishing(small_copy, swaps, other_coder) as publisher,
    ):

        def ask(logo: str) -> dict:
            finding.stdin.write(logo + "\n")
            finding.stdin.flush()
            return json.loads(finding.stdout.readline())

        before = {logo: ask(logo) for logo in logos}
        assert {answer["mode"] for answer in before.values()} == {"index"}
        for swap in range(swaps):
            with row.case(f"stream, swap {swap}"):
                waiting = True
                while waiting:
                    waiting = publisher.published() <= swap
                    for logo in logos:
                        answer = ask(logo)
                        assert answer["matches"] == before[logo]["matches"]
                        assert answer["mode"] == "index"
        finding.stdin.close()
        assert finding.wait(timeout=60) == 0
        assert not finding.stderr.read()


# --- an index opened in the middle of a publication ---------------------------------------------


@pytest.fixture(scope="module")
def about_to_publish(
    small_home: Path, other_coder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A home with an index, and one with another coder that only lacks its name."""
    home = tmp_path_factory.mktemp("publish") / "home"
    shutil.copytree(small_home, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexer.build, "publish_index", lambda folder: None)
        store = find_store(home, "pi", SMALL)
        build_index(store, threads=1, replace=True, coder=other_coder.read_bytes())
    return home


class Steps:
    """Calls of the system that this process makes under a folder, and what to do at some."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = patch
        self._folder = folder
        self._busy = False

    def _ours(self, name: object) -> bool:
        return isinstance(name, str | os.PathLike) and Path(name).is_relative_to(self._folder)

    def _watch(self, module: object, name: str, act: Callable[[], None], *, after: bool) -> None:
        call = getattr(module, name)

        def watched(first: object, *rest: object, **more: object) -> object:
            ours = not self._busy and self._ours(first)
            if ours and not after:
                self._act(act)
            found = call(first, *rest, **more)
            if ours and after:
                self._act(act)
            return found

        self._patch.setattr(module, name, watched)

    def _act(self, act: Callable[[], None]) -> None:
        self._busy = True
        act()
        self._busy = False

    def after_each_change(self, act: Callable[[], None]) -> None:
        """Act after each rename, and each name that is removed."""
        for name in ("rename", "replace", "unlink", "rmdir"):
            self._watch(os, name, act, after=True)

    def before_each_reading(self, act: Callable[[], None]) -> None:
        """Act before each file is opened."""
        for module in (os, io):
            self._watch(module, "open", act, after=False)


def link_copy(home: Path, new: Path) -> Path:
    """A copy of a home whose files are links to the same bytes: nothing is written into them."""
    return Path(shutil.copytree(home, new, copy_function=os.link))


def assert_whole(index: Index) -> None:
    """Every window is in a list of the index, and its files belong together."""
    sizes, room, offsets = index.directory.T
    found = int(sizes.sum()), int((offsets + ENTRY_BYTES * room).max())
    assert found == (count_windows(SMALL), index.lists.nbytes)
    assert len(sizes) == index.coder.n_cells


def test_an_index_opened_at_each_step_of_a_publication(
    tally, about_to_publish, tmp_path, monkeypatch
):
    """First the old index is there, then the new one, and at no step none."""
    row = tally(11)
    home = link_copy(about_to_publish, tmp_path / "home")
    store = find_store(home, "pi", SMALL)
    old, seen = open_index(store).build, []

    def look() -> None:
        with row.case(f"opened at step {len(seen)} of a publication"):
            seen.append("")
            assert has_index(store)
            assert not is_half_built(store.folder)
            index = open_index(store)
            assert_whole(index)
            seen[-1] = index.build

    Steps(monkeypatch, store.folder).after_each_change(look)
    publish_index(store.folder)
    with row.case("one index, then the other"):
        new = open_index(store).build
        assert new != old
        assert seen == [old] * seen.count(old) + [new] * seen.count(new)
        assert {old, new} == set(seen)


def test_an_index_published_at_each_step_of_an_opening(tally, about_to_publish, tmp_path):
    """The reader has begun with the files of one index when they become those of the other."""
    row = tally(11)
    step, last = 0, False
    while not last:
        home = link_copy(about_to_publish, tmp_path / f"{step}")
        store = find_store(home, "pi", SMALL)
        opened = 0

        def publish(step: int = step, store: DigitStore = store) -> None:
            nonlocal opened
            if opened == step:
                publish_index(store.folder)
            opened += 1

        with (
            row.case(f"published at step {step} of an opening"),
            pytest.MonkeyPatch.context() as patch,
        ):
            Steps(patch, store.folder).before_each_reading(publish)
            assert_whole(open_index(store))
        last = opened <= step
        step += 1
    assert step > 4
