import hashlib
import json
import os
import shutil
import threading

import numpy as np
import pytest
from filelock import FileLock

from indexer import build as build_module
from indexer import build_plan, parts
from indexer.build import build_index
from indexer.build_plan import plan_build
from indexer.compute import compute_digits
from indexer.digits import find_store
from indexer.documents import write_document
from indexer.errors import (
    ResourceError,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreMissing,
    UsageError,
)
from indexer.faiss_files import FaissIndex
from indexer.index_files import has_index, open_index
from indexer.index_folders import is_half_built
from indexer.window import WINDOW, count_windows

N = 300_000


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A home with the first 300,000 decimals of pi and their index."""
    home = tmp_path_factory.mktemp("built")
    build_index(compute_digits(home, N), threads=2)
    return home


@pytest.fixture
def store(built, tmp_path):
    """A copy of that store, for a test to damage."""
    shutil.copytree(built, tmp_path / "home")
    return find_store(tmp_path / "home", "pi", N)


@pytest.fixture
def bare(store):
    """A store without an index."""
    shutil.rmtree(store.folder / "index")
    return store


def digest(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def contents(index):
    """cell -> (codes, starts), read from the bytes as the format says."""
    lists = {}
    for cell, (size, room, offset) in enumerate(index.directory.tolist()):
        if size:
            raw = index.lists[offset : offset + 6 * size].reshape(size, 6)
            codes = np.zeros((size, 8), np.uint8)
            codes[:, :6] = raw
            ids = index.lists[offset + 6 * room : offset + 6 * room + 8 * size]
            lists[cell] = (codes.view(np.uint64).ravel(), ids.copy().view(np.int64))
    return lists


def check_every_window_is_in_its_list(index, digits):
    coder = index.coder
    cells, codes = coder.quantise(coder.projection.project_stretch(digits - 48))
    seen = np.zeros(count_windows(len(digits)), np.int64)
    for cell, (found, starts) in contents(index).items():
        assert (cells[starts] == cell).all()
        assert np.array_equal(codes[starts], found)
        assert (np.diff(starts) > 0).all()
        seen[starts] += 1
    assert (seen == 1).all()


def test_every_window_is_in_its_list_once(built):
    store = find_store(built, "pi", N)
    check_every_window_is_in_its_list(open_index(store), store.open())


def test_faiss_reads_the_same_lists_from_a_folder_that_was_moved(store, tmp_path):
    home = tmp_path / "elsewhere"
    shutil.move(store.folder.parent, home)
    index = open_index(find_store(home, "pi", N))
    theirs = FaissIndex(index.folder)
    assert theirs.n_windows == count_windows(N)
    ours = contents(index)
    for cell in range(index.coder.n_cells):
        codes, starts = theirs.read_list(cell)
        if cell in ours:
            assert np.array_equal(codes, ours[cell][0])
            assert np.array_equal(starts, ours[cell][1])
        else:
            assert len(starts) == 0


def test_faiss_predicts_what_we_predict(built):
    store = find_store(built, "pi", N)
    index = open_index(store)
    theirs = FaissIndex(index.folder)
    slopes = np.random.default_rng(1).standard_normal(48)
    visited = np.arange(0, index.coder.n_cells, 3)
    starts, products = theirs.range_search(-slopes.astype(np.float32), visited, -1e9)
    lists = contents(index)
    assert len(starts) == sum(len(lists[cell][1]) for cell in visited if cell in lists)
    digits = store.open() - 48
    windows = np.lib.stride_tricks.sliding_window_view(digits, WINDOW)[starts]
    cells, codes = index.coder.quantise(index.coder.projection.project(windows))
    _, ours = index.coder.predictions(cells, codes, slopes)
    assert np.abs(ours + products).max() < 1e-3


@pytest.mark.parametrize(("threads", "largest"), [(1, 1 << 24), (3, 70_001), (2, 299_917)])
def test_the_files_are_the_same_for_any_threads_and_parts(
    built, bare, monkeypatch, threads, largest
):
    monkeypatch.setattr(parts, "LARGEST_PART", largest)
    monkeypatch.setattr(build_module, "SMALLEST_PART", 1)
    build_index(bare, threads=threads)
    assert digest(bare.folder / "index") == digest(built / f"pi-{N}" / "index")


@pytest.mark.parametrize("stage", ["learn", "code", "merge"])
def test_an_interrupted_build_goes_on_and_ends_in_the_same_bytes(built, bare, monkeypatch, stage):
    monkeypatch.setattr(parts, "LARGEST_PART", 50_000)
    monkeypatch.setattr(build_module, "SMALLEST_PART", 1)

    def interrupt(step):
        if step.stage == stage and step.done >= 0.6 * step.total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(bare, threads=1, progress=interrupt)
    assert is_half_built(bare.folder)
    assert not has_index(bare)
    with pytest.raises(StoreMissing, match="has no index"):
        open_index(bare)
    said = []
    build_index(bare, threads=2, say=said.append)
    assert digest(bare.folder / "index") == digest(built / f"pi-{N}" / "index")
    assert not (bare.folder / "index.wip").exists()
    if stage != "learn":
        assert any("reusing the codebooks" in text for text in said)
        assert any("parts" in text for text in said)


def test_a_part_cut_short_is_made_again(built, bare, monkeypatch):
    monkeypatch.setattr(parts, "LARGEST_PART", 100_000)

    def interrupt(step):
        if step.stage == "merge":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(bare, progress=interrupt)
    part = sorted((bare.folder / "index.wip").rglob("part-*.bin"))[1]
    part.write_bytes(part.read_bytes()[:-1])
    build_index(bare)
    assert digest(bare.folder / "index") == digest(built / f"pi-{N}" / "index")


def test_work_for_other_decimals_is_not_taken_up(bare):
    work = bare.folder / "index.wip"
    work.mkdir()
    (work / "work.json").write_text(json.dumps({"n": 7}))
    (work / "coder.npz").write_bytes(b"of another build")
    said = []
    index = build_index(bare, say=said.append)
    assert said == []
    check_every_window_is_in_its_list(index, bare.open())


def test_an_index_that_is_there_is_kept_unless_replaced(store):
    before = (store.folder / "index").stat().st_ino
    build_index(store)
    assert (store.folder / "index").stat().st_ino == before
    build_index(store, replace=True)
    assert (store.folder / "index").stat().st_ino != before
    assert not (store.folder / "index.old").exists()


def test_decimals_made_again_keep_the_index_that_is_of_them(store):
    before = digest(store.folder / "index")
    (store.folder / "index.wip").mkdir()
    (store.folder / "decimals.txt").write_bytes(b"3")
    again = compute_digits(store.folder.parent, N, replace=True)
    assert digest(again.folder / "index") == before
    assert open_index(again).n == N
    assert {path.name for path in store.folder.parent.iterdir()} == {f"pi-{N}", f"pi-{N}.lock"}
    assert not (again.folder / "index.wip").exists()


def test_an_index_of_other_decimals_goes_with_them(store):
    manifest = store.folder / "index" / "manifest.json"
    document = json.loads(manifest.read_text())
    del document["seal"]
    write_document(manifest, {**document, "decimals_sha256": "0" * 64})
    again = compute_digits(store.folder.parent, N, replace=True)
    assert not has_index(again)


def test_a_replacement_killed_before_its_end_is_finished(store):
    """The new store has its name; the old one is still there with its index."""
    home = store.folder.parent
    shutil.copytree(store.folder, home / f"pi-{N}.old")
    shutil.rmtree(store.folder / "index")
    compute_digits(home, N, replace=True)
    assert {path.name for path in home.iterdir()} == {f"pi-{N}", f"pi-{N}.lock"}
    open_index(store)


def test_two_builders_at_once_are_not_let_in(bare):
    lock = FileLock(bare.folder.parent / f"pi-{N}.lock")
    with lock, pytest.raises(StoreBusy, match=f"indexed by process {os.getpid()}; wait"):
        build_index(bare)


def test_a_reader_keeps_its_view_while_another_index_is_published(store):
    before = open_index(store)
    copied = before.lists[:1000].copy()
    build_index(store, replace=True)
    assert np.array_equal(before.lists[:1000], copied)


def test_too_little_memory_or_disk_is_said_before_anything_is_written(bare, monkeypatch):
    monkeypatch.setattr(build_plan, "available_memory", lambda: 10**8)
    monkeypatch.setattr("indexer.resources.available_memory", lambda: 10**8)
    with pytest.raises(ResourceError, match=r"needs .* of memory"):
        build_index(bare)
    monkeypatch.undo()
    monkeypatch.setattr("indexer.resources.free_disk", lambda folder: 10**6)
    with pytest.raises(ResourceError, match=r"needs .* of disk"):
        build_index(bare)
    assert not (bare.folder / "index.wip").exists()


def test_a_plan_obeys_the_memory_there_is(monkeypatch):
    roomy = plan_build(10**9, 2)
    monkeypatch.setattr(build_plan, "available_memory", lambda: 2 * 10**9)
    tight = plan_build(10**9, 2)
    assert tight.part_windows < roomy.part_windows
    assert tight.memory_bytes < 2 * 10**9
    assert roomy.memory_bytes < 6e9
    assert roomy.index_bytes < 16e9


@pytest.mark.parametrize("n", [84, 85, 200, 5000])
def test_the_smallest_stores_can_be_indexed(tmp_path, n):
    store = compute_digits(tmp_path, n)
    index = build_index(store)
    check_every_window_is_in_its_list(index, store.open())


FILES = ["manifest.json", "coder.npz", "index.faiss", "lists.bin"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["cut", "longer", "missing", "empty"])
def test_a_file_of_another_size_is_refused_by_name(store, name, how):
    path = store.folder / "index" / name
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": content[:-1], "longer": content + b"x", "empty": b""}[how])
    with pytest.raises(StoreDamaged) as caught:
        open_index(store)
    assert path.name in str(caught.value)
    assert "pilogo build --digits 3e5" in str(caught.value)


@pytest.mark.parametrize("name", FILES[:-1])
def test_a_flipped_byte_in_a_small_file_is_found_when_it_is_opened(store, name):
    path = store.folder / "index" / name
    content = bytearray(path.read_bytes())
    for at in np.random.default_rng(3).integers(0, len(content), 12):
        changed = content.copy()
        changed[at] ^= 0x11
        path.write_bytes(changed)
        with pytest.raises(StoreDamaged):
            open_index(store)
    path.write_bytes(content)
    open_index(store)


def test_files_of_two_builds_are_not_mixed(store, tmp_path):
    other = compute_digits(tmp_path / "other", N // 3)
    build_index(other)
    here, there = store.folder / "index", other.folder / "index"
    shutil.copy(there / "coder.npz", here / "coder.npz")
    with pytest.raises(StoreDamaged):
        open_index(store)
    shutil.rmtree(here)
    shutil.copytree(there, here)
    with pytest.raises(StoreDamaged, match="other decimals"):
        open_index(store)


def test_several_threads_report_and_the_sum_is_all_windows(bare, monkeypatch):
    monkeypatch.setattr(parts, "LARGEST_PART", 30_000)
    steps, lock = [], threading.Lock()

    def note(step):
        with lock:
            steps.append(step)

    build_index(bare, threads=3, progress=note)
    for stage in ("code", "merge"):
        mine = [step for step in steps if step.stage == stage]
        assert mine[0].done == 0
        assert mine[-1].done == mine[-1].total == count_windows(N)
        assert [s.done for s in mine] == sorted(s.done for s in mine)


def flip(path, at):
    with path.open("rb+") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x40]))


@pytest.fixture(scope="module")
def other_coder(built, tmp_path_factory):
    """The coder.npz of fewer decimals, which has other cells than this store's index."""
    few = build_index(compute_digits(tmp_path_factory.mktemp("few"), N // 10))
    assert few.coder.bits != open_index(find_store(built, "pi", N)).coder.bits
    return (few.folder / "coder.npz").read_bytes()


def refuse_to_learn(n_windows, progress):
    raise AssertionError("a coder is learned")


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_index_is_built_again_with_its_coder_if_that_is_sound(store, monkeypatch, name):
    index = store.folder / "index"
    before = digest(index)
    flip(index / name, (index / name).stat().st_size // 2)
    if name in {"index.faiss", "lists.bin"}:
        monkeypatch.setattr(build_module, "learn_coder", refuse_to_learn)
    said = []
    build_index(store, say=said.append)
    assert digest(index) == before
    assert said[0].startswith(f"to be mended: {index / name}")
    assert [path.name for path in sorted(store.folder.iterdir())] == [
        "decimals.txt", "index", "manifest.json",
    ]  # fmt: skip


def test_a_coder_that_is_given_makes_the_bytes_that_one_learned_makes(built, bare, monkeypatch):
    learned = built / f"pi-{N}" / "index"
    monkeypatch.setattr(build_module, "learn_coder", refuse_to_learn)
    build_index(bare, coder=(learned / "coder.npz").read_bytes())
    assert digest(bare.folder / "index") == digest(learned)


def test_a_coder_of_another_n_is_used_as_it_is(bare, other_coder, monkeypatch):
    plans = []

    def note(n, threads, **more):
        plans.append(plan_build(n, threads, **more))
        return plans[-1]

    monkeypatch.setattr(build_module, "plan_build", note)
    index = build_index(bare, coder=other_coder)
    assert [plan.n_lists for plan in plans] == [index.coder.n_cells]
    assert (index.folder / "coder.npz").read_bytes() == other_coder
    assert index.coder.n_cells == 1 << 2 * index.coder.bits == len(index.directory)
    check_every_window_is_in_its_list(index, bare.open())


@pytest.mark.parametrize("name", ["index.faiss", "lists.bin"])
def test_a_plain_build_mends_an_index_with_the_coder_it_was_given(bare, other_coder, name):
    index = build_index(bare, coder=other_coder).folder
    before = digest(index)
    build_index(bare)
    assert digest(index) == before
    flip(index / name, (index / name).stat().st_size // 2)
    build_index(bare)
    assert digest(index) == before


def test_a_damaged_coder_is_mended_with_the_one_given(bare, other_coder):
    index = build_index(bare, coder=other_coder).folder
    before = digest(index)
    flip(index / "coder.npz", 1000)
    build_index(bare, coder=other_coder)
    assert digest(index) == before


def test_an_index_with_another_coder_than_is_given_is_left_unless_replaced(store, other_coder):
    before = digest(store.folder)
    with pytest.raises(StoreForeign, match=r"another coder than the one given; .* --replace"):
        build_index(store, coder=other_coder)
    assert digest(store.folder) == before
    index = build_index(store, coder=other_coder, replace=True)
    assert (index.folder / "coder.npz").read_bytes() == other_coder


@pytest.mark.parametrize("given", [True, False])
def test_work_with_another_coder_is_not_taken_up(built, bare, other_coder, monkeypatch, given):
    """Its parts are of other cells: begun with a coder that is given, or with one learned."""
    monkeypatch.setattr(parts, "LARGEST_PART", 100_000)
    whole = built / f"pi-{N}" / "index"
    coders = [other_coder, None] if given else [None, other_coder]

    def interrupt(step):
        if step.stage == "merge":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(bare, coder=coders[0], progress=interrupt)
    said = []
    index = build_index(bare, coder=coders[1], say=said.append)
    assert said == []
    if given:
        assert digest(index.folder) == digest(whole)
    else:
        check_every_window_is_in_its_list(index, bare.open())


def test_a_build_with_a_given_coder_goes_on_where_it_was(bare, other_coder, monkeypatch):
    monkeypatch.setattr(parts, "LARGEST_PART", 100_000)

    def interrupt(step):
        if step.stage == "merge":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(bare, coder=other_coder, progress=interrupt)
    said = []
    index = build_index(bare, coder=other_coder, say=said.append)
    assert said == [f"reusing 3 parts, {count_windows(N):,} windows"]
    check_every_window_is_in_its_list(index, bare.open())


def test_an_index_that_only_lacks_its_name_gets_it(built, bare, monkeypatch):
    """Killed before the last rename, its parts not yet removed."""
    monkeypatch.setattr(build_module, "publish_index", lambda folder: None)
    with pytest.raises(StoreMissing):
        build_index(bare)
    monkeypatch.undo()
    work = bare.folder / "index.wip"
    lists = (work / "lists.bin").stat().st_ino
    (work / f"part-{0:015d}-{count_windows(N)}.bin").write_bytes(b"")
    said = []
    build_index(bare, say=said.append)
    assert said[-1] == f"reusing the lists, {count_windows(N):,} windows"
    assert (bare.folder / "index" / "lists.bin").stat().st_ino == lists
    assert digest(bare.folder / "index") == digest(built / f"pi-{N}" / "index")


def test_more_windows_than_an_index_holds_are_refused_before_anything_is_written(bare, monkeypatch):
    assert build_plan.LARGEST_INDEX == 2**32
    assert plan_build(2**32 + 83).n_windows == 2**32
    with pytest.raises(
        UsageError, match=r"4,294,967,297 windows; .* at most 4,294,967,296; .* build --shards K"
    ):
        plan_build(2**32 + 84)
    monkeypatch.setattr(build_plan, "LARGEST_INDEX", count_windows(N) - 1)
    with pytest.raises(UsageError, match=r"299,917 windows; .* at most 299,916"):
        build_index(bare)
    assert not (bare.folder / "index.wip").exists()


def test_an_index_of_version_2_is_replaced_by_the_command_that_is_named(store, built):
    """Its lists were in folders of their own."""
    index = store.folder / "index"
    manifest = json.loads((index / "manifest.json").read_text())
    del manifest["seal"]
    shard = index / "shard-000000000000000"
    shard.mkdir()
    write_document(index / "manifest.json", {**manifest, "version": 2})
    for name in ("manifest.json", "index.faiss", "lists.bin"):
        shutil.copy(index / name, shard / name)
    for opened in (open_index, build_index):
        with pytest.raises(StoreForeign, match=r"version 2 is too old; .* build .* --replace$"):
            opened(store)
    build_index(store, replace=True)
    assert digest(index) == digest(built / f"pi-{N}" / "index")
    assert not (store.folder / "index.old").exists()


def test_what_is_not_ours_is_never_deleted(store):
    for folder in ("index", "index.wip", "index.old"):
        note = store.folder / folder / "notes.txt"
        note.parent.mkdir(exist_ok=True)
        note.write_text("mine")
        with pytest.raises(StoreError, match=r"holds 'notes\.txt', which pilogo did not put there"):
            build_index(store, replace=True)
        assert note.read_text() == "mine"
        note.unlink()
    build_index(store, replace=True)
    assert not (store.folder / "index.old").exists()


def test_a_folder_of_version_2_that_is_a_link_is_never_followed(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "lists.bin").write_bytes(b"mine")
    (store.folder / "index" / "shard-000000000000000").symlink_to(outside)
    with pytest.raises(StoreError, match="holds 'shard-000000000000000', which pilogo did not put"):
        build_index(store, replace=True)
    assert (outside / "lists.bin").read_bytes() == b"mine"


def test_decimals_that_are_not_as_recorded_are_not_indexed(bare):
    flip(bare.folder / "decimals.txt", 150_000)
    with pytest.raises(StoreDamaged, match=r"offsets 1 to 300,000 are not what .* block 0"):
        build_index(bare)
    assert not (bare.folder / "index.wip").exists()


def test_an_index_of_another_version_is_left_alone(store):
    manifest = store.folder / "index" / "manifest.json"
    document = json.loads(manifest.read_text())
    del document["seal"]
    write_document(manifest, {**document, "version": document["version"] + 1})
    before = digest(store.folder)
    with pytest.raises(StoreForeign, match="too new"):
        build_index(store)
    assert digest(store.folder) == before
    build_index(store, replace=True)
    open_index(store)


def test_a_publication_killed_between_its_renames_is_still_an_index(store):
    before = digest(store.folder / "index")
    (store.folder / "index").rename(store.folder / "index.old")
    assert open_index(store).folder.name == "index.old"
    build_index(store)
    assert digest(store.folder / "index") == before
    assert not (store.folder / "index.old").exists()
