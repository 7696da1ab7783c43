"""Manifests that mean harm, and what may stand in the place of a store's files (item 9).

Nothing outside of the store may be touched, nothing may hang, and memory stays bounded. Commands
run in a process that is watched (watched.py).
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hostile_files import (
    BUILD,
    DIGITS,
    FEW,
    SECRET,
    TINY,
    TINY_STORE,
    content_cases,
    in_place_cases,
    kind_cases,
    old_index_outside,
    work_outside,
    writing_cases,
)
from hostile_manifests import Case, document_cases, field_cases, random_cases
from small_store import STORE, assert_true, find, matches_of
from watched import Watched, WatchedProgram

import indexer.build
from indexer.build import build_index
from indexer.digits import find_store
from indexer.index_files import open_index
from indexer.index_folders import INDEX_NAME
from indexer.manifest import DECIMALS_NAME
from indexer.sources import ImportOptions, import_digits
from program import SMALL, Tally

SECONDS = 2
MEMORY = 100_000_000
Kind = TypeVar("Kind")
READERS = (("check", "--deep"), ("digits", "check"), ("digits", "info"))
SAID = re.compile(r"pilogo: |damaged: |pi-\d+: known values |.* is of a build that did not end")


@pytest.fixture(scope="module")
def program() -> Iterator[WatchedProgram]:
    with WatchedProgram(timeout=10) as program:
        yield program


def drawn(cases: Sequence[Kind], count: int, *, full: bool = False) -> list[Kind]:
    """All cases in the full run; otherwise so many of them, drawn with a seed."""
    if full:
        return list(cases)
    chosen = np.random.default_rng(count).choice(len(cases), count, replace=False)
    return [cases[number] for number in sorted(chosen.tolist())]


# --- reading ------------------------------------------------------------------------------------


def assert_bounded(found: Watched, allowed: Path | None = None) -> None:
    """Ended in time, in order and in little memory; all that it says can be printed.

    And nothing outside was touched, but one file that may be opened.
    """
    found.assert_clean()
    assert "a bug" not in found.err, found.err
    assert set(found.touched) <= {f"open {allowed}"}, found.touched
    assert found.seconds < SECONDS
    assert found.grown < MEMORY, f"{found.grown:,} bytes"
    assert not {c for c in found.out + found.err if not c.isprintable()} - {"\n"}, found
    for line in found.err.splitlines():
        assert SAID.match(line), found.err


def ask(
    program: WatchedProgram, home: Path, n: int, allowed: Path | None = None
) -> dict[str, Watched]:
    """What every command says that reads a store; each bounded.

    `find` says nothing else than one line where it refuses.
    """
    answers = {"find": program.run(home, *find(n))}
    answers |= {" ".join(words): program.run(home, *words) for words in READERS}
    for words, found in answers.items():
        try:
            assert_bounded(found, allowed)
        except AssertionError as error:
            raise AssertionError(f"{words}: {error}") from None
    asked = answers["find"]
    assert asked.code in {0, 4}, asked
    if asked.code == 4:
        assert asked.out == "", asked.out
        assert asked.err.count("\n") == 1, asked.err
    return answers


def is_refused(answers: dict[str, Watched]) -> bool:
    """Whether any of the commands has found damage."""
    return any(found.code for found in answers.values())


@pytest.fixture(scope="module")
def wanted(program: WatchedProgram, small_home: Path) -> list[dict]:
    """The true answer, which the sound index gives."""
    exact = matches_of(program.run(small_home, *find(), "--exact"))
    program.run(small_home, *find())  # what is imported and compiled at first is not counted
    answers = ask(program, small_home, SMALL)
    assert not is_refused(answers)
    assert matches_of(answers["find"]) == exact
    return exact


def snapshot(folder: Path) -> dict[str, object]:
    """When every name in a folder was changed, and what it holds."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None,
        )
        for path in sorted(folder.rglob("*"))
    }


@contextlib.contextmanager
def guarded(sound: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    """(home, outside): a home whose files are links to sound ones, a folder with a secret."""
    home, outside = folder / "home", folder / "outside"
    shutil.copytree(sound, home, copy_function=os.link)
    outside.mkdir()
    (outside / "secret").write_text("kept secret")
    yield home, outside
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Reading:
    """What the tests of hostile stores share."""

    row: Tally
    program: WatchedProgram
    sound: Path
    folder: Path
    wanted: list[dict]

    def try_each(self, cases: Iterable[Case]) -> None:
        """Refused, or used as if it were sound; if `find` refuses it then the check does too."""
        for number, case in enumerate(cases):
            folder = self.folder / f"{number}"
            with guarded(self.sound, folder) as (home, outside), self.row.case(case.label):
                case.make(home / STORE, outside)
                before = snapshot(outside)
                answers = ask(self.program, home, SMALL)
                assert snapshot(outside) == before
                assert case.harmless or is_refused(answers), "it was not refused"
                if answers["find"].code == 0:
                    assert matches_of(answers["find"]) == self.wanted
                else:
                    assert answers["check --deep"].code in {1, 4}, "the check finds nothing"


@pytest.fixture
def reading(
    tally: Callable[[int], Tally],
    program: WatchedProgram,
    small_home: Path,
    tmp_path: Path,
    wanted: list[dict],
) -> Reading:
    return Reading(tally(9), program, small_home, tmp_path, wanted)


def test_hostile_values(full, reading):
    reading.try_each(drawn(field_cases(reading.sound / STORE), 20, full=full))


def test_hostile_documents(full, reading):
    reading.try_each(drawn(document_cases(reading.sound / STORE), 12, full=full))


def test_manifests_changed_at_random(full, reading):
    reading.try_each(random_cases(reading.sound / STORE, 300 if full else 10))


def test_no_files_of_ours(full, reading):
    reading.try_each(drawn(kind_cases(), 10, full=full))
    reading.try_each([
        Case("index.old: a link outside, no index", old_index_outside),
        Case("index.wip: a link outside", work_outside, harmless=True),
    ])  # fmt: skip


def test_a_store_outside_is_not_taken_for_one_that_is_being_replaced(
    tally, program, small_home, tmp_path, wanted
):
    """Of a size that is never made on first use."""
    n, home, outside = 20_000_000, tmp_path / "home", tmp_path / "outside"
    home.mkdir()
    shutil.copytree(small_home / STORE, outside, copy_function=os.link)
    (home / f"pi-{n}.old").symlink_to(outside)
    with tally(9).case("pi-N.old: a link outside"):
        found = program.run(home, *find(n))
        assert_bounded(found)
        assert found.code == 4, found


def test_content_that_its_manifest_proves(tally, full, program, small_home, tmp_path, wanted):
    """It is refused, or the distances are true: windows that no list names are not found."""
    row = tally(9)
    decimals = (small_home / STORE / DECIMALS_NAME).read_text("ascii")
    for number, case in enumerate(drawn(content_cases(small_home / STORE), 8, full=full)):
        with guarded(small_home, tmp_path / f"{number}") as (home, outside), row.case(case.label):
            case.make(home / STORE, outside)
            answers = ask(program, home, SMALL)
            if answers["find"].code == 0:
                assert_true(matches_of(answers["find"]), decimals)


# --- a file used in place -----------------------------------------------------------------------


@pytest.fixture
def used_in_place(small_home: Path, tmp_path: Path) -> Path:
    """A home with a store of a few decimals in a file outside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    decimals = (small_home / STORE / DECIMALS_NAME).read_bytes()[:FEW]
    (outside / "pi.txt").write_bytes(b"3." + decimals)
    (outside / "secret").write_bytes(SECRET)
    (outside / "digits").write_bytes(DIGITS)
    (outside / "link").symlink_to("digits")
    os.mkfifo(outside / "pipe")
    import_digits(tmp_path / "home", outside / "pi.txt", ImportOptions(in_place=True))
    return tmp_path / "home"


def test_another_file_is_named_to_be_used_in_place(tally, full, program, used_in_place, wanted):
    """It may be opened; what is in it is not told."""
    row = tally(9)
    outside = used_in_place.with_name("outside")
    store = used_in_place / f"pi-{FEW}"
    assert not is_refused(ask(program, used_in_place, FEW, outside / "pi.txt"))
    before = snapshot(outside)
    for case in drawn(in_place_cases(), 10, full=full):
        with row.case(case):
            case.make(store, outside)
            named = Path(case.path.format(outside=outside).replace("link", "digits"))
            answers = ask(program, used_in_place, FEW, named)
            assert answers["find"].code == 4, answers["find"]
            for words, found in answers.items():
                said = found.out + found.err
                assert case.kept not in said, f"{words}: {said}"
                assert not re.search("byte 0x", said), f"{words}: {said}"
            assert snapshot(outside) == before


# --- writing ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tiny:
    """Homes with a store and its index, with a store and the work of a build; the true answer."""

    built: Path
    begun: Path
    wanted: list[dict]


@pytest.fixture(scope="module")
def tiny(program: WatchedProgram, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    homes = tmp_path_factory.mktemp("tiny")
    built, begun = homes / "built", homes / "begun"
    done = program.run(built, *BUILD)
    assert done.code == 0, done.err
    shutil.copytree(built, begun)
    store = find_store(begun, "pi", TINY)
    coder = open_index(store).coder
    shutil.rmtree(store.folder / INDEX_NAME)

    def interrupt(step: Any) -> None:
        if step.stage == "merge":
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexer.build, "learn_coder", lambda n_windows, progress: coder)
        with pytest.raises(KeyboardInterrupt):
            build_index(store, progress=interrupt)
    return Tiny(built, begun, matches_of(program.run(built, *find(TINY), "--exact")))


def assert_done_or_refused(found: Watched) -> None:
    """The command did its work or said in one line why not; nothing outside was touched."""
    found.assert_clean()
    assert "a bug" not in found.err, found.err
    assert not found.touched, found.touched
    assert found.grown < MEMORY, f"{found.grown:,} bytes"
    assert found.code in {0, 4}, found


def test_nothing_outside_is_read_written_or_deleted(tally, full, program, tiny, tmp_path):
    row = tally(9)
    for number, case in enumerate(drawn(writing_cases(), 16, full=full)):
        sound = tiny.begun if case.begun else tiny.built
        with guarded(sound, tmp_path / f"{number}") as (home, outside), row.case(case.label):
            case.make(home, outside)
            before = snapshot(outside)
            decimals = str(home / TINY_STORE / DECIMALS_NAME)
            found = program.run(home, *(word.format(decimals=decimals) for word in case.command))
            assert snapshot(outside) == before
            assert_done_or_refused(found)
            if found.code == 0:
                assert matches_of(program.run(home, *find(TINY))) == tiny.wanted


def test_an_index_of_hostile_manifests_is_mended_or_refused(tally, full, program, tiny, tmp_path):
    row = tally(9)
    sound = tiny.built / TINY_STORE
    every = [*field_cases(sound), *document_cases(sound), *random_cases(sound, 100)]
    cases = [case for case in every if case.label.startswith(INDEX_NAME)]
    for number, case in enumerate(drawn(cases, 200 if full else 4)):
        label = f"build, {case.label}"
        with guarded(tiny.built, tmp_path / f"{number}") as (home, outside), row.case(label):
            case.make(home / TINY_STORE, outside)
            before = snapshot(outside)
            found = program.run(home, *BUILD)
            assert snapshot(outside) == before
            assert_done_or_refused(found)
            if found.code == 0:
                answers = ask(program, home, TINY)
                assert not is_refused(answers), answers
                assert matches_of(answers["find"]) == tiny.wanted
            else:
                assert "--replace" in found.err or "update pilogo" in found.err, found.err
