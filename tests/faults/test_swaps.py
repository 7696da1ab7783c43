"""Files of another build or another store in the place of a store's own (7), and of others (8)."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hostile_manifests import change
from small_store import (
    CODER,
    FAISS,
    LISTS,
    OF_INDEX,
    contents,
    find,
    matches_of,
)
from test_candidates import write_store
from watched import Watched, WatchedProgram

import indexer.build
import indexer.learning
from indexer.build import build_index
from indexer.compute import compute_digits
from indexer.digits import DigitStore, find_store
from indexer.errors import StoreDamaged, StoreForeign
from indexer.index_files import open_index
from indexer.index_folders import INDEX_NAME
from indexer.index_manifest import CODER_NAME, FAISS_NAME, MANIFEST_NAME
from indexer.index_manifest import VERSION as INDEX_VERSION
from indexer.manifest import DECIMALS_NAME
from indexer.manifest import VERSION as DECIMALS_VERSION
from program import run

N = 100_000
SHORTER = 90_000
STORE = f"pi-{N}"


@pytest.fixture(scope="module")
def program() -> Iterator[WatchedProgram]:
    with WatchedProgram() as program:
        yield program


@dataclass(frozen=True)
class Builds:
    """Folders of stores with an index: ours, and others that differ in one thing each.

    coder is the content of the coder.npz of all but the one of another seed: to learn it takes
    seconds, and is not what is tested.
    """

    coder: bytes
    ours: Path
    others: dict[str, Path]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    """The first decimals of pi, and builds of other decimals, n, seed and constant."""
    homes = tmp_path_factory.mktemp("builds")
    (homes / "random").mkdir()
    ours = compute_digits(homes / "ours", N)
    coder = (build_index(ours).folder / CODER_NAME).read_bytes()
    random = np.random.default_rng(6).integers(48, 58, N, dtype=np.uint8)
    stores = {
        "other decimals": write_store(homes / "random", random),
        "other n": compute_digits(homes / "shorter", SHORTER),
        "other constant": compute_digits(homes / "e", N, "e"),
    }
    for store in stores.values():
        build_index(store, coder=coder)
    stores["other seed"] = copied(ours, homes / "seed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexer.build, "SEED", 1)
        patch.setattr(indexer.learning, "SEED", 1)
        build_index(stores["other seed"], replace=True)
    return Builds(coder, ours.folder, {name: store.folder for name, store in stores.items()})


def copied(store: DigitStore, home: Path) -> DigitStore:
    """The store, its index with it, in another home."""
    shutil.copytree(store.folder, home / store.folder.name)
    return find_store(home, store.constant, store.n)


def complaint(outcome: Watched, code: int = 4) -> str:
    """The one line of a command that has failed with a code."""
    outcome.assert_clean()
    assert outcome.code == code, (outcome.code, outcome.err)
    *_, line = outcome.err.splitlines()
    assert line.startswith("pilogo: "), outcome.err
    return line


def answer(outcome: Watched) -> list[dict]:
    """The matches of an answer from the index."""
    found = matches_of(outcome)
    assert json.loads(outcome.out)["mode"] == "index"
    return found


# --- files of another build ---------------------------------------------------------------------

# What a refusal says, for each way in which it can be found.
NUMBER = "bytes; the manifest says"
HASH = "is not what its manifest says (sha256)"
ENDS = "does not begin and end as its manifest says"
DECIMALS = "is the index of other decimals"
FOLDER = "it must be what the folder"


@dataclass(frozen=True)
class Swap:
    """What takes the place of what: a name in our store, where it is from, what is to be said.

    place is the name that the refusal must have.
    """

    name: str
    build: str
    place: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} of {self.build}"


def index_file_swaps() -> list[Swap]:
    """Each file of an index from each other build in which it is another."""
    swaps = []
    for build in ("other decimals", "other n", "other constant", "other seed"):
        # of the same decimals, so the first that does not fit is what the manifest proves
        place, words = (CODER, HASH) if build == "other seed" else (INDEX_NAME, DECIMALS)
        swaps += [
            Swap(OF_INDEX, build, place, (words,)),
            Swap(FAISS, build, FAISS, (NUMBER, HASH)),
            Swap(LISTS, build, LISTS, (NUMBER, ENDS)),
        ]
        if build == "other seed":  # the coder is no function of the decimals
            swaps.append(Swap(CODER, build, CODER, (NUMBER, HASH)))
    return swaps


SWAPS = [
    *index_file_swaps(),
    *(Swap(INDEX_NAME, build, INDEX_NAME, (DECIMALS,))
      for build in ("other decimals", "other n", "other constant")),
    *(Swap(DECIMALS_NAME, build, DECIMALS_NAME, (NUMBER, ENDS))
      for build in ("other decimals", "other n", "other constant")),
    Swap(MANIFEST_NAME, "other decimals", DECIMALS_NAME, (ENDS,)),
    Swap(MANIFEST_NAME, "other n", MANIFEST_NAME, (FOLDER,)),
    Swap(MANIFEST_NAME, "other constant", MANIFEST_NAME, (FOLDER,)),
]  # fmt: skip


def put(source: Path, place: Path) -> None:
    """A copy of a file or a folder in the place of another."""
    if place.is_dir():
        shutil.rmtree(place)
        shutil.copytree(source, place)
    else:
        shutil.copy(source, place)


def assert_well_again(program: WatchedProgram, folder: Path, coder: bytes, wanted: list) -> None:
    """`pilogo build --replace` makes an index that answers as before.

    Where the decimals are not what they were they must be mended before; here they are put back.
    """
    build_index(find_store(folder.parent, "pi", N), replace=True, coder=coder)
    assert answer(program.run(folder.parent, *find(N))) == wanted
    checked = program.run(folder.parent, "check", "--deep")
    assert checked.code == 0, checked.err


def test_what_is_of_another_build_is_refused_by_name(tally, full, builds, program, tmp_path):
    row = tally(7)
    wanted = answer(program.run(builds.ours.parent, *find(N)))
    for number, swap in enumerate(SWAPS if full else SWAPS[::3]):
        folder = tmp_path / str(number) / STORE
        shutil.copytree(builds.ours, folder)
        other = builds.others[swap.build] / swap.name
        with row.case(swap):
            put(other, folder / swap.name)
            line = complaint(program.run(folder.parent, *find(N)))
            assert f"{STORE}/{swap.place}" in line, line
            assert any(words in line for words in swap.words), line
            checked = program.run(folder.parent, "check", "--deep")
            assert f"{STORE}/{swap.place}" in complaint(checked, 4 if FOLDER in line else 1)
            for name in (DECIMALS_NAME, MANIFEST_NAME):
                shutil.copy(builds.ours / name, folder / name)
            assert_well_again(program, folder, builds.coder, wanted)


def test_lists_of_the_same_size_are_told_by_their_ends(tally, builds, program, tmp_path):
    row = tally(7)
    folder = tmp_path / STORE
    shutil.copytree(builds.ours, folder)
    path = folder / LISTS
    size = path.stat().st_size
    for build in ("other decimals", "other constant", "other seed"):
        with row.case(f"lists of {build}, of the same size"):
            other = (builds.others[build] / LISTS).read_bytes()
            path.write_bytes(other[:size].ljust(size, b"\0"))
            line = complaint(program.run(tmp_path, *find(N)))
            assert str(path) in line, line
            assert ENDS in line, line


def test_a_whole_index_of_another_seed_is_an_index_of_the_same_decimals(
    tally, builds, program, tmp_path
):
    with tally(7).case("index of other seed"):
        folder = tmp_path / STORE
        shutil.copytree(builds.ours, folder)
        put(builds.others["other seed"] / INDEX_NAME, folder / INDEX_NAME)
        exact = json.loads(program.run(tmp_path, *find(N), "--exact").out)
        assert exact["certified"]
        assert answer(program.run(tmp_path, *find(N))) == exact["matches"]
        before = contents(folder)
        kept = program.run(tmp_path, "build", "--digits", str(N))
        assert kept.code == 0, kept.err
        assert contents(folder) == before


def test_the_command_builds_again_what_was_swapped(tally, full, builds, tmp_path):
    """All of it: other decimals' index in our store, the coder learned and not given."""
    if not full:
        pytest.skip("many seconds: only in the full run")
    with tally(7).case("pilogo build --replace"):
        folder = tmp_path / STORE
        shutil.copytree(builds.ours, folder)
        before = contents(folder)
        put(builds.others["other decimals"] / INDEX_NAME, folder / INDEX_NAME)
        kept = run(tmp_path, "build", "--digits", str(N))
        kept.assert_clean()
        assert kept.code == 4, kept.err
        assert "other decimals" in kept.err, kept.err
        assert "--replace" in kept.err, kept.err
        built = run(tmp_path, "build", "--digits", str(N), "--replace")
        assert built.code == 0, built.err
        assert contents(folder) == before


# --- other versions, other programs -------------------------------------------------------------

TOO_OLD, TOO_NEW, FOREIGN = "is too old", "is too new", "another program's"
OTHER_FAISS, DOUBTFUL = "this pilogo reads FAISS 1", "must be an integer"
WORDS = (TOO_OLD, TOO_NEW, FOREIGN, OTHER_FAISS, DOUBTFUL)


@dataclass(frozen=True)
class Change:
    """A field of a manifest of ours, what it says, and what is to be said of that."""

    name: str
    field: str
    value: object
    words: str

    def __str__(self) -> str:
        return f"{self.name}, {self.field} {self.value!r}"

    def make(self, folder: Path) -> None:
        """Write the manifest with the change, and its seal."""
        change(folder / self.name, (self.field,), self.value)

    def assert_told(self, told: str) -> None:
        """The file, what it says, and one of the ways to be foreign."""
        name = FAISS_NAME if self.words == OTHER_FAISS else MANIFEST_NAME
        assert f"{STORE}/{Path(self.name).with_name(name)}" in told, told
        assert re.search(rf"\b{self.field} (is )?'?{self.value}\b", told, re.IGNORECASE), told
        found = [words for words in WORDS if words in told]
        assert found == [self.words], told


def changes() -> list[Change]:
    versions = {MANIFEST_NAME: DECIMALS_VERSION, OF_INDEX: INDEX_VERSION}
    formats = {MANIFEST_NAME: "pilogo-decimals", OF_INDEX: "pilogo-index"}
    found = []
    for name, version in versions.items():
        others = [form for form in (*formats.values(), "notes") if form != formats[name]]
        found += [
            Change(name, "version", version - 1, TOO_OLD),
            Change(name, "version", version + 1, TOO_NEW),
            Change(name, "version", 0, TOO_OLD),
            Change(name, "version", 10**9, TOO_NEW),
            Change(name, "version", str(version), DOUBTFUL),
            *(Change(name, "format", other, FOREIGN) for other in others),
        ]
    return [*found, *(Change(OF_INDEX, "faiss", text, OTHER_FAISS) for text in ("0.9", "2.0.0"))]


def damage_of(folder: Path) -> StoreDamaged:
    """What is raised where decimals and index are opened."""
    try:
        open_index(find_store(folder.parent, "pi", N))
    except StoreDamaged as damage:
        return damage
    raise AssertionError("it was not refused")


def test_versions_and_programs_are_told_apart(tally, full, builds, program, tmp_path):
    row = tally(8)
    every = changes()
    wanted = answer(program.run(builds.ours.parent, *find(N)))
    for number, case in enumerate(every if full else every[::3]):
        folder = tmp_path / str(number) / STORE
        shutil.copytree(builds.ours, folder)
        case.make(folder)
        before = contents(folder)
        with row.case(case):
            damage = damage_of(folder)
            assert isinstance(damage, StoreForeign) == (case.words != DOUBTFUL)
            case.assert_told(str(damage))
            case.assert_told(complaint(program.run(folder.parent, *find(N))))
            checked = program.run(folder.parent, "check")
            case.assert_told(complaint(checked, 4 if case.name == MANIFEST_NAME else 1))
            if case.words != DOUBTFUL:
                case.assert_told(complaint(program.run(folder.parent, "build", "--digits", str(N))))
                assert contents(folder) == before
            if case.name != MANIFEST_NAME:
                assert_well_again(program, folder, builds.coder, wanted)


def test_decimals_of_another_version_are_made_again(tally, builds, program, tmp_path):
    """Neither build replaces decimals; computing them again does, and keeps their index."""
    with tally(8).case("decimals of another version"):
        folder = tmp_path / STORE
        shutil.copytree(builds.ours, folder)
        wanted = contents(folder / INDEX_NAME)
        Change(MANIFEST_NAME, "version", 1, TOO_OLD).make(folder)
        before = contents(folder)
        refused = complaint(program.run(tmp_path, "build", "--digits", str(N), "--replace"))
        assert TOO_OLD in refused, refused
        assert "pilogo digits compute 1e5 --replace" in refused, refused
        assert contents(folder) == before
        compute_digits(tmp_path, N, replace=True)
        assert find_store(tmp_path, "pi", N).open().size == N
        assert contents(folder / INDEX_NAME) == wanted
