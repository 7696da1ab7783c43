"""Files that are not as they were written: one byte flipped (item 5), another size (item 6)."""

import contextlib
import itertools
import json
import mmap
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from small_store import (
    CODER,
    FAISS,
    FILES,
    LARGE_FILES,
    LISTS,
    MANIFESTS,
    OF_INDEX,
    SMALL_FILES,
    STORE,
    assert_true,
    contents,
    find,
    matches_of,
)
from watched import WatchedProgram

from indexer.check import check_store_files
from indexer.checksums import SMALLEST_BLOCK
from indexer.digits import choose_store, survey_stores
from indexer.errors import StoreDamaged
from indexer.index_files import Index, open_index
from indexer.index_folders import INDEX_NAME
from indexer.index_manifest import MANIFEST_NAME
from indexer.manifest import DECIMALS_NAME
from program import SMALL, run

# A damaged manifest hides the damage of what it proves; these four are told independently.
TOGETHER = (CODER, FAISS, *LARGE_FILES)
PAGE = 4096
BUILD = ("build", "--digits", str(SMALL))


def damages(home: Path, *, deep: bool) -> dict[str, str]:
    """What a check says of each damaged file of a home's only store, by its name in the store."""
    (entry,) = survey_stores(home)
    found = check_store_files(entry, 2, deep=deep).files
    return {
        str(check.path.relative_to(entry.folder)): str(check.damage)
        for check in found
        if check.damage
    }


def open_all(home: Path) -> None:
    """Open the decimals and the index of a home's only store, as a question does."""
    store = choose_store(home)
    store.open()
    open_index(store)


def refusal(call: Callable[[], object]) -> str:
    """What the StoreDamaged says that a call raises; an AssertionError where it raises none."""
    try:
        call()
    except StoreDamaged as damage:
        return str(damage)
    raise AssertionError("it was not refused")


# --- one byte -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flip:
    """Bits of one byte of a file of the store to be turned over."""

    name: str
    at: int
    mask: int

    def __str__(self) -> str:
        return f"{self.name}, byte {self.at} ^ {self.mask:#04x}"

    def toggle(self, folder: Path) -> None:
        """Turn the bits over; twice, and the file is as before."""
        handle = os.open(folder / self.name, os.O_RDWR)
        try:
            os.pwrite(handle, bytes([os.pread(handle, 1, self.at)[0] ^ self.mask]), self.at)
        finally:
            os.close(handle)


@contextlib.contextmanager
def flipped(folder: Path, *flips: Flip) -> Iterator[None]:
    """A store with these bytes flipped, and as it was at the end."""
    for flip in flips:
        flip.toggle(folder)
    try:
        yield
    finally:
        for flip in flips:
            flip.toggle(folder)


def draw_flips(folder: Path, name: str, full: bool) -> list[Flip]:
    """Flips of one bit or of several: every byte of a small file, 2,000 + 2,000 of a large one.

    Of a large one as many places are spread as are random, the first and the last among them.
    """
    size = (folder / name).stat().st_size
    random = np.random.default_rng([size, FILES.index(name)])
    if name in LARGE_FILES:
        count = 2000 if full else 10
        spread = np.linspace(0, size - 1, count).astype(int)
        places = [*spread.tolist(), *random.integers(0, size, count).tolist()]
    else:
        places = range(size) if full else np.linspace(0, size - 1, 20).astype(int).tolist()
    masks = [
        1 << random.integers(8) if random.random() < 0.5 else random.integers(1, 256)
        for _ in places
    ]
    return [Flip(name, at, int(mask)) for at, mask in zip(places, masks, strict=True)]


def assert_told(flip: Flip, told: str) -> None:
    """What is told of the file names it, and of a large one the block that holds the byte."""
    assert flip.name in told, told
    if flip.name in LARGE_FILES:
        place = re.search(r"(offsets|bytes) ([\d,]+) to ([\d,]+) .*\(sha256 of block (\d+)", told)
        assert place, told
        first, last = (int(text.replace(",", "")) for text in place.group(2, 3))
        base = 1 if place[1] == "offsets" else 0
        assert first <= flip.at + base <= last, told
        assert int(place[4]) == flip.at // SMALLEST_BLOCK, told


def test_a_flipped_byte_is_found_by_a_deep_check(tally, full, small_copy):
    row = tally(5)
    folder = small_copy / STORE
    assert damages(small_copy, deep=True) == {}
    for names in (*((name,) for name in MANIFESTS), TOGETHER):
        every = [draw_flips(folder, name, full) for name in names]
        for some in itertools.zip_longest(*every):
            flips = [flip for flip in some if flip]
            with flipped(folder, *flips):
                found = damages(small_copy, deep=True)
            for flip in flips:
                with row.case(flip):
                    assert set(found) == {each.name for each in flips}
                    assert_told(flip, found[flip.name])


def test_a_flipped_byte_of_a_small_file_is_found_when_it_is_opened(tally, full, small_copy):
    row = tally(5)
    folder = small_copy / STORE
    open_all(small_copy)
    for flip in itertools.chain(*(draw_flips(folder, name, full) for name in SMALL_FILES)):
        with row.case(f"opened: {flip}"), flipped(folder, flip):
            assert flip.name in refusal(lambda: open_all(small_copy))


def places_of_ids(index: Index, starts: list[int]) -> list[int]:
    """The bytes of lists.bin where the ids of these windows begin."""
    places = {}
    for size, room, offset in index.directory.tolist():
        at = offset + 6 * room
        ids = index.lists[at : at + 8 * size].copy().view(np.int64)
        for number in np.flatnonzero(np.isin(ids, starts)).tolist():
            places[int(ids[number])] = at + 8 * number
    return [places[start] for start in starts]


def flips_of_ids(store: Path, matches: list[dict], count: int) -> list[Flip]:
    """Flips in the ids of matches, from the highest of their 8 bytes down."""
    index = open_index(choose_store(store))
    places = places_of_ids(index, [match["offset"] - 1 for match in matches])
    bits = np.random.default_rng(5).integers(0, 8, count).tolist()
    return [
        Flip(LISTS, places[number % len(places)] + 7 - number // len(places) % 8, 1 << bit)
        for number, bit in enumerate(bits)
    ]


def test_a_question_to_flipped_lists_is_refused_or_answered_with_true_distances(
    tally, full, small_copy
):
    """Half of the flips are anywhere, half in the ids of the very windows that are asked for."""
    row = tally(5)
    folder = small_copy / STORE
    decimals = (folder / DECIMALS_NAME).read_text("ascii")
    with WatchedProgram() as program:
        answer = json.loads(program.run(small_copy, *find()).out)
        assert answer["mode"] == "index"
        count = 100 if full else 4
        anywhere = draw_flips(folder, LISTS, full)[:: 40 if full else 5]
        flips = [*anywhere, *flips_of_ids(small_copy, answer["matches"], count)]
        codes = set()
        for flip in flips:
            with row.case(f"asked: {flip}"), flipped(folder, flip):
                found = program.run(small_copy, *find())
                found.assert_clean()
                codes.add(found.code)
                if found.code == 0:
                    assert_true(matches_of(found), decimals)
                else:
                    assert found.code == 4, found.err
                    assert INDEX_NAME in found.err, found.err
                    assert "next: pilogo build" in found.err, found.err
        assert codes == {0, 4}


def test_the_command_says_what_is_damaged(tally, small_copy):
    row = tally(5)
    folder = small_copy / STORE
    middle = (folder / LISTS).stat().st_size // 2
    for flip, code in ((Flip(LISTS, middle, 1), 1), (Flip(MANIFEST_NAME, 400, 1), 4)):
        with row.case(f"pilogo check: {flip}"), flipped(folder, flip):
            found = run(small_copy, "check", "--deep")
            found.assert_clean()
            assert found.code == code, found.err
            told, line = found.err.splitlines()
            assert told.startswith("damaged: ")
            assert_told(flip, told)
            assert line.startswith("pilogo: ")


def test_a_build_mends_every_file_of_an_index(tally, full, small_copy):
    row = tally(5)
    folder = small_copy / STORE
    sound = contents(folder)
    random = np.random.default_rng(7)
    for name in (LISTS, FAISS, CODER, OF_INDEX) if full else (LISTS,):
        flip = Flip(name, int(random.integers((folder / name).stat().st_size)), 1)
        with row.case(f"mended: {flip}"):
            flip.toggle(folder)
            found = run(small_copy, *BUILD)
            found.assert_clean()
            assert found.code == 0, found.err
            (told,) = re.findall("to be mended: (.*)", found.err)
            assert name in told
            assert name != LISTS or f"block {flip.at // SMALLEST_BLOCK} of " in told
            assert contents(folder) == sound


def test_decimals_are_mended_by_making_them_again(tally, full, small_copy):
    """Nothing is built of damaged decimals; their index, which is not damaged, is kept."""
    if not full:
        pytest.skip("many seconds: only in the full run")
    folder = small_copy / STORE
    sound = contents(folder)
    del sound[MANIFEST_NAME]  # it says when they were made
    with tally(5).case("decimals"):
        Flip(DECIMALS_NAME, SMALL // 3, 1).toggle(folder)
        refused = run(small_copy, *BUILD, "--replace")
        refused.assert_clean()
        assert refused.code == 4, refused.err
        assert "offsets 1 to 1,048,576 are not what" in refused.err, refused.err
        assert "next: pilogo digits compute 2e6 --replace" in refused.err, refused.err
        again = run(small_copy, "digits", "compute", "2e6", "--replace")
        assert again.code == 0, again.err
        found = contents(folder)
        del found[MANIFEST_NAME]
        assert found == sound
        assert damages(small_copy, deep=True) == {}


# --- another size -------------------------------------------------------------------------------


@contextlib.contextmanager
def resized(path: Path, size: int) -> Iterator[None]:
    """A file cut to a size, or with digits appended; as it was at the end."""
    whole = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(min(size, whole))
        tail = file.read()
        file.write(b"1" * (size - whole))
        file.truncate(size)
    try:
        yield
    finally:
        with path.open("r+b") as file:
            file.seek(min(size, whole))
            file.write(tail)
            file.truncate(whole)


def other_sizes(size: int, full: bool) -> list[int]:
    """The sizes of the list of faults, and random ones below; 200 in the full run."""
    named = [0, 1, size // 2, size - PAGE, size - 1, size + 1, size + PAGE]
    random = np.random.default_rng(size).permutation(size)[: 193 if full else 1].tolist()
    return sorted({each for each in (*named, *random) if each >= 0})


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that the program maps, in their order."""
    paths = []

    class Map(mmap.mmap):
        def __new__(cls, handle: int, *arguments: int, **named: int) -> "Map":
            paths.append(Path(f"/proc/self/fd/{handle}").readlink())
            return super().__new__(cls, handle, *arguments, **named)

    monkeypatch.setattr("indexer.mapping.mmap.mmap", Map)
    return paths


def test_a_file_of_another_size_is_refused_before_it_is_mapped(tally, full, small_copy, mapped):
    row = tally(6)
    folder = small_copy / STORE
    open_all(small_copy)
    assert mapped == [folder / DECIMALS_NAME, folder / LISTS]
    for name in FILES:
        path = folder / name
        for size in other_sizes(path.stat().st_size, full):
            with row.case(f"{name} of {size} bytes"), resized(path, size):
                mapped.clear()
                assert name in refusal(lambda: open_all(small_copy))
                for deep in (False, True):
                    found = damages(small_copy, deep=deep)
                    assert set(found) == {name}
                    assert name in found[name]
                assert path not in mapped
    with row.case("as it was"):
        assert damages(small_copy, deep=True) == {}


def test_a_file_of_another_size_is_told_in_one_line(tally, full, small_copy):
    row = tally(6)
    folder = small_copy / STORE
    for name in FILES if full else (LISTS,):
        size = (folder / name).stat().st_size
        for other in (0, size // 2, size + 1) if full else (size // 2,):
            with row.case(f"pilogo: {name} of {other} bytes"), resized(folder / name, other):
                found = run(small_copy, *find())
                found.assert_clean()
                assert found.code == 4, found.err
                assert name in found.err, found.err
                checked = run(small_copy, "check")
                checked.assert_clean()
                assert checked.code == (4 if name == MANIFEST_NAME else 1), checked.err
                assert name in checked.err, checked.err


def test_a_file_used_in_place_of_another_size_is_refused(tally, full, small_home, tmp_path, mapped):
    row = tally(6)
    home, path = tmp_path / "home", tmp_path / "pi.txt"
    path.write_bytes(b"3." + (small_home / STORE / DECIMALS_NAME).read_bytes())
    imported = run(home, "digits", "import", str(path), "--in-place")
    assert imported.code == 0, imported.err
    choose_store(home).open()
    assert mapped == [path]
    for size in other_sizes(path.stat().st_size, full):
        with row.case(f"in place, of {size} bytes"), resized(path, size):
            mapped.clear()
            assert str(path) in refusal(lambda: choose_store(home).open())
            (entry,) = survey_stores(home)
            (told,) = filter(None, (c.damage for c in check_store_files(entry, 2, deep=True).files))
            assert str(path) in str(told)
            assert mapped == []
    with row.case("pilogo: in place"), resized(path, SMALL):
        found = run(home, *find())
        found.assert_clean()
        assert found.code == 4, found.err
        assert f"{path} has {SMALL} bytes; the manifest says {SMALL + 2}" in found.err, found.err
