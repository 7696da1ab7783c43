"""Shards: cut, built, mended, searched; one shard or many, the same answer."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import shard_build
from indexer.corpus import held_out_logos
from indexer.digits import choose_store, find_store, read_store
from indexer.errors import StoreDamaged, StoreError, StoreForeign, UsageError
from indexer.home import StoreName, parse_store_name
from indexer.shard_build import build_shards, make_shard, run_here, unfinished_shards
from indexer.shard_plan import choose_shards, describe_scale, plan_scale
from indexer.shards import MOST_SHARDS, cut, read_shards, shard_places, shards_folder
from indexer.summary import hash_without, merge_decimal_hash
from indexer.window import count_windows
from query.finder import Finder
from query.report import format_json

N = 10**7
SMALL = 300_000
LOGOS = held_out_logos()[::97][:8]
K = 7


@pytest.fixture(scope="module")
def sharded(home, tmp_path_factory):
    """A home with the default store in seven shards; not to be changed."""
    folder = tmp_path_factory.mktemp("sharded")
    shutil.copytree(home / f"pi-{N}", folder / f"pi-{N}")
    build_shards(choose_store(folder, N), K, run_here(), threads=2)
    return folder


@pytest.fixture
def small(home, tmp_path):
    """A store of its own, 300,000 decimals, without an index."""
    from indexer.sources import ImportOptions, import_digits

    return import_digits(tmp_path, home / f"pi-{N}" / "decimals.txt", ImportOptions(first=SMALL))


def said(finder, bitmap, **options):
    """An answer as JSON, without the time it took."""
    return format_json(dataclasses.replace(finder.find(bitmap, **options), seconds=0.0))


@given(st.integers(84, 5_000), st.integers(1, 60), st.sampled_from([1, 62_500_001]))
def test_every_window_is_in_one_shard(n, count, first_offset):
    count = min(count, count_windows(n))
    shards = cut(StoreName("pi", n, first_offset), count)
    starts = [
        offset
        for shard in shards
        for offset in range(shard.first_offset, shard.first_offset + count_windows(shard.n))
    ]
    assert starts == list(range(first_offset, first_offset + count_windows(n)))
    assert len(shards) == count
    assert max(s.n for s in shards) - min(s.n for s in shards) <= 1
    assert shards[-1].first_offset + shards[-1].n == first_offset + n
    assert all(parse_store_name(str(shard)) == shard for shard in shards)


@given(
    st.text("0123456789", min_size=1, max_size=50), st.text("0123456789", min_size=1, max_size=99)
)
def test_a_hash_without_its_tail(head, tail):
    modulus = 2**61 - 1
    assert hash_without(int("3" + head + tail) % modulus, tail) == int("3" + head) % modulus
    assert merge_decimal_hash(int(head) % modulus, int(tail) % modulus, len(tail)) == (
        int(head + tail) % modulus
    )


def test_a_store_without_shards_is_its_own_only_shard(home):
    (place,) = shard_places(choose_store(home, N))
    assert (place.first, place.n_windows) == (0, count_windows(N))
    assert [p.n_windows for p in shard_places(choose_store(home, N), 1000)] == [917]


def test_shards_are_stores_that_can_be_used_alone(sharded, decimals, soundcloud):
    folder = shards_folder(sharded / f"pi-{N}")
    names = [parse_store_name(path.name) for path in sorted(folder.iterdir()) if path.is_dir()]
    assert len(names) == K
    for name in names:
        finder = Finder(folder, first_offset=name.first_offset)
        first = name.first_offset - 1
        assert finder.read_digits(name.first_offset, name.n).encode() == (
            decimals[first : first + name.n].tobytes()
        )
        for match in finder.find(soundcloud).matches:
            text = decimals[match.offset - 1 : match.offset + 83].tobytes().decode()
            assert match.sequence == text
            assert name.first_offset <= match.offset < name.first_offset + count_windows(name.n)


def test_a_moved_shard_says_where_it_begins(sharded, tmp_path, soundcloud):
    folder = shards_folder(sharded / f"pi-{N}")
    name = cut(StoreName("pi", N), K)[3]
    shutil.copytree(folder / str(name), tmp_path / str(name))
    answer = json.loads(format_json(Finder(tmp_path).find(soundcloud)))
    assert answer["first_offset"] == name.first_offset
    assert answer["digits"] == name.n


@pytest.mark.parametrize("missed", [1.0, 0.01])
@pytest.mark.parametrize("metric", ["l1", "l2"])
def test_one_shard_and_seven_give_the_same_json(indexed_home, sharded, monkeypatch, metric, missed):
    import query.finder

    monkeypatch.setattr(query.finder, "expected_seconds", lambda *_: 10.0)
    one, seven = Finder(indexed_home, threads=2), Finder(sharded, threads=2)
    for logo in LOGOS:
        asked = {"metric": metric, "missed": missed}
        assert said(one, logo.reshape(6, 14), **asked) == said(seven, logo.reshape(6, 14), **asked)
    assert '"mode": "index"' in said(seven, LOGOS[0].reshape(6, 14), missed=1.0)


def test_index_or_scan_is_the_same_choice(indexed_home, sharded, monkeypatch):
    import query.finder

    modes = set()
    for seconds in (1.51e-3, 1.53e-3, 1.55e-3, 1.6e-3, 1.7e-3, 1.9e-3, 2.5e-3):
        monkeypatch.setattr(query.finder, "expected_seconds", lambda *_, s=seconds: s)
        one, seven = Finder(indexed_home, threads=2), Finder(sharded, threads=1)
        for logo in LOGOS:
            answers = [f.find(logo.reshape(6, 14), missed=0.1) for f in (one, seven)]
            assert answers[0].mode == answers[1].mode
            modes.add(answers[0].mode)
    assert modes == {"index", "scan"}


@pytest.mark.parametrize("top", [1, 10, 300])
def test_scans_of_one_shard_and_seven(home, sharded, top):
    one, seven = Finder(home, threads=2), Finder(sharded, threads=2)
    for logo in LOGOS[:3]:
        bitmap = logo.reshape(6, 14)
        assert said(one, bitmap, exact=True, top=top) == said(seven, bitmap, exact=True, top=top)


def test_many_bitmaps_together_of_one_shard_and_seven(home, sharded):
    bitmaps = held_out_logos()[:90:9].reshape(-1, 6, 14)
    one, seven = (
        Finder(where, digits=N).find_together(bitmaps, top=20) for where in (home, sharded)
    )
    assert [answer.matches for answer in one] == [answer.matches for answer in seven]
    assert all(answer.certified for answer in seven)


def test_ties_across_shards(home, sharded):
    blank = np.full((6, 14), 5, np.uint8)
    assert said(Finder(home), blank, exact=True) == said(Finder(sharded), blank, exact=True)
    assert said(Finder(home), blank, distinct=True) == said(Finder(sharded), blank, distinct=True)


@pytest.mark.parametrize("digits", [84, 1_428_655, 1_428_656, 1_428_657, 5_000_000])
def test_the_first_decimals_of_a_set(home, sharded, soundcloud, digits):
    one, some = Finder(home, digits=digits), Finder(sharded, digits=digits)
    assert said(one, soundcloud, exact=True) == said(some, soundcloud, exact=True)


def test_a_window_is_found_at_every_seam(sharded, decimals):
    finder = Finder(sharded)
    for shard in cut(StoreName("pi", N), K)[1:]:
        for offset in (shard.first_offset - 83, shard.first_offset - 1, shard.first_offset):
            bitmap = (decimals[offset - 1 : offset + 83] - 48).reshape(6, 14)
            match = finder.find(bitmap, top=1, exact=True).matches[0]
            assert (match.offset, match.distance) == (offset, 0)
            text = finder.read_digits(offset, 100)
            assert text.encode() == decimals[offset - 1 : offset + 99].tobytes()


def test_a_missing_shard_is_told_and_nothing_is_certified(sharded, tmp_path, soundcloud):
    home = tmp_path / "home"
    shutil.copytree(sharded, home)
    gone = cut(StoreName("pi", N), K)[4]
    shutil.rmtree(home / f"pi-{N}" / "shards" / str(gone))
    finder = Finder(home)
    last = gone.first_offset + count_windows(gone.n) - 1
    whole = Finder(sharded).find(soundcloud, exact=True, top=50)
    for exact in (True, False):
        answer = finder.find(soundcloud, exact=exact)
        assert answer.uncovered == ((gone.first_offset, last),)
        assert not answer.certified
        # a seventh of the ten, and of those that took their places
        assert 1.2 < answer.expected_missed < 3
        assert '"uncovered": [[' in format_json(answer)
    there = [m.offset for m in whole.matches if not gone.first_offset <= m.offset <= last]
    assert [m.offset for m in finder.find(soundcloud, exact=True).matches] == there[:10]
    assert "cannot be searched" in finder.gaps()[0]


def test_a_damaged_index_leaves_a_gap_for_the_index_alone(
    sharded, tmp_path, soundcloud, monkeypatch
):
    import query.finder

    home = tmp_path / "home"
    shutil.copytree(sharded, home)
    bad = cut(StoreName("pi", N), K)[0]
    with (home / f"pi-{N}" / "shards" / str(bad) / "index" / "index.faiss").open("r+b") as file:
        file.truncate(1000)
    finder = Finder(home)
    assert finder.find(soundcloud, exact=True).certified
    monkeypatch.setattr(query.finder, "expected_seconds", lambda *_: 10.0)
    answer = finder.find(soundcloud, missed=1)
    assert answer.mode == "index"
    assert answer.uncovered == ((1, count_windows(bad.n)),)


def test_lists_without_their_decimals_are_a_gap_too(sharded, tmp_path, soundcloud, monkeypatch):
    import query.finder

    monkeypatch.setattr(query.finder, "expected_seconds", lambda *_: 10.0)
    home = tmp_path / "home"
    shutil.copytree(sharded, home)
    bad = cut(StoreName("pi", N), K)[2]
    (home / f"pi-{N}" / "shards" / str(bad) / "decimals.txt").unlink()
    for exact in (True, False):
        answer = Finder(home).find(soundcloud, missed=1, exact=exact)
        last = bad.first_offset + count_windows(bad.n) - 1
        assert (answer.mode, answer.certified) == ("scan" if exact else "index", False)
        assert answer.uncovered == ((bad.first_offset, last),)


def test_all_shards_gone_is_an_error(small):
    build_shards(small, 3, run_here(), threads=2)
    for name in cut(small.name, 3):
        shutil.rmtree(small.folder / "shards" / str(name))
    with pytest.raises(StoreDamaged, match=r"has no manifest\.json"):
        Finder(small.folder.parent)


def test_mending_makes_the_damaged_shards_alone(small):
    folder = build_shards(small, 4, run_here(), threads=2)
    manifest = (folder / "manifest.json").read_bytes()
    names = cut(small.name, 4)
    before = {name: (folder / str(name) / "index/lists.bin").stat().st_ino for name in names}
    with (folder / str(names[1]) / "index/lists.bin").open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff\xff")
    shutil.rmtree(folder / str(names[2]))
    with (folder / str(names[3]) / "decimals.txt").open("r+b") as file:
        file.seek(500)
        file.write(b"x")
    build_shards(small, None, run_here(), threads=2)
    after = {name: (folder / str(name) / "index/lists.bin").stat().st_ino for name in names}
    assert before[names[0]] == after[names[0]]
    assert before[names[1]] != after[names[1]]
    assert (folder / "manifest.json").read_bytes() == manifest
    for name in names:
        read_store(folder / str(name)).require_sound(2)


def test_an_interrupted_build_goes_on(small, monkeypatch):
    made = []

    def twice(task, progress):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(task.name)
        return make_shard(task, progress)

    monkeypatch.setattr(shard_build, "make_shard", twice)
    with pytest.raises(KeyboardInterrupt):
        build_shards(small, 4, run_here(), threads=2)
    work = small.folder / "shards.wip"
    first = (work / str(made[0]) / "index/lists.bin").stat().st_ino
    assert shards_folder(small.folder) is None
    assert Finder(small.folder.parent).unfinished_build()
    monkeypatch.setattr(shard_build, "make_shard", make_shard)
    folder = build_shards(small, 4, run_here(), threads=2)
    assert (folder / str(made[0]) / "index/lists.bin").stat().st_ino == first
    assert not work.exists()
    assert len(read_shards(small, folder).shards) == 4
    assert not [path for path in folder.iterdir() if path.suffix in {".lock", ".wip"}]


def test_another_number_of_shards_must_be_asked_for(small):
    folder = build_shards(small, 2, run_here(), threads=2)
    with pytest.raises(
        StoreForeign, match=r"has 2 shards, and 3 are asked for.*--shards 3 --replace"
    ):
        build_shards(small, 3, run_here(), threads=2)
    build_shards(small, 3, run_here(), threads=2, replace=True)
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == sorted(
        map(str, cut(small.name, 3))
    )
    assert not (small.folder / "shards.old").exists()


def test_what_is_not_ours_is_not_removed(small):
    folder = build_shards(small, 2, run_here(), threads=2)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"notes\.txt"):
        build_shards(small, 3, run_here(), threads=2, replace=True)
    found = list(small.folder.rglob("notes.txt"))
    assert [path.read_text() for path in found] == ["mine"]


def test_shards_of_damaged_decimals_are_refused(small):
    digits = bytearray(small.path.read_bytes())
    digits[150_000] = ord("0") + (digits[150_000] - 47) % 10  # a digit, and the wrong one
    small.path.write_bytes(digits)
    with pytest.raises(StoreDamaged, match="decimals at offsets 1 to 300,000 are not"):
        build_shards(small, 3, run_here(), threads=2)
    assert not list(small.folder.glob("shards.wip/pi-*"))

    def elsewhere(tasks):  # workers do not read the whole; the merged hash tells
        return map(make_shard, tasks)

    with pytest.raises(StoreDamaged, match="decimals at offsets 1 to 300,000 are not"):
        build_shards(small, 3, elsewhere, threads=2)
    assert shards_folder(small.folder) is None
    digits[150_000] = ord("0") + (digits[150_000] - 49) % 10
    small.path.write_bytes(digits)  # mended: the wrong shards are not taken for made
    build_shards(small, 3, elsewhere, threads=2)
    assert shards_folder(small.folder) is not None


def test_shards_in_other_folders(small, tmp_path, soundcloud):
    disks = [tmp_path / "a", tmp_path / "b"]
    build_shards(small, 3, run_here(), into=disks, threads=2)
    assert [len([p for p in disk.iterdir() if p.is_dir()]) for disk in disks] == [2, 1]
    answer = Finder(small.folder.parent).find(soundcloud, exact=True)
    assert answer.certified
    # moved back: the same build finds them where they are asked for
    shutil.move(disks[1] / str(cut(small.name, 3)[1]), disks[0])
    inode = (disks[0] / str(cut(small.name, 3)[1]) / "index/lists.bin").stat().st_ino
    build_shards(small, 3, run_here(), into=[disks[0]], threads=2, replace=True)
    assert (disks[0] / str(cut(small.name, 3)[1]) / "index/lists.bin").stat().st_ino == inode
    assert Finder(small.folder.parent).find(soundcloud, exact=True).certified


def test_shards_elsewhere_that_are_no_longer_used_are_named(small, tmp_path):
    told = []
    build_shards(small, 2, run_here(), into=[tmp_path / "a"], threads=2)
    with pytest.raises(StoreForeign, match="--into is for new ones"):
        build_shards(small, 2, run_here(), into=[tmp_path / "b"], threads=2)
    build_shards(small, 3, run_here(), threads=2, replace=True, say=told.append)
    left = " ".join(line for line in told if "no longer used" in line)
    assert all(str(tmp_path / "a" / str(name)) in left for name in cut(small.name, 2))


def test_unfinished_shards_are_known_by_their_document(small, tmp_path):
    assert unfinished_shards(small) is None
    with pytest.raises(KeyboardInterrupt):
        build_shards(small, 4, interrupted, into=[tmp_path / "a"], threads=2)
    assert unfinished_shards(small) == (4, [tmp_path / "a"])
    document = small.folder / "shards.wip" / "work.json"
    document.write_text('{"shards": [1, 2], "into": []}')
    assert unfinished_shards(small) is None
    document.unlink()
    document.symlink_to("/dev/zero")  # not followed: it would never end
    assert unfinished_shards(small) is None


def interrupted(tasks):
    raise KeyboardInterrupt


def test_a_replacement_that_is_given_up_leaves_nothing(small):
    folder = build_shards(small, 2, run_here(), threads=2)
    with pytest.raises(KeyboardInterrupt):
        build_shards(small, 4, interrupted, threads=2, replace=True)
    assert (small.folder / "shards.wip").exists()
    assert build_shards(small, None, run_here(), threads=2) == folder
    assert not (small.folder / "shards.wip").exists()


def test_a_hostile_set_is_refused(small):
    from indexer.documents import write_document

    folder = build_shards(small, 2, run_here(), threads=2)
    path = folder / "manifest.json"
    good = json.loads(path.read_text())
    del good["seal"]
    changes = [
        lambda d: d["shards"][1].update(folder="../../etc"),
        lambda d: d["shards"][1].update(folder="/etc"),
        lambda d: d["shards"][1].update(first_offset=3),
        lambda d: d["shards"][1].update(n=100),
        lambda d: d["shards"].pop(),
        lambda d: d["shards"].append(d["shards"][1]),
        lambda d: d.update(n=SMALL - 1),
        lambda d: d.update(decimals_sha256="0" * 64),
    ]
    for change in changes:
        document = json.loads(json.dumps(good))
        change(document)
        write_document(path, document)
        with pytest.raises(StoreDamaged):
            Finder(small.folder.parent)
    path.write_text(json.dumps(good))
    with pytest.raises(StoreDamaged, match="seal"):
        Finder(small.folder.parent)


def test_replacing_decimals_keeps_no_shards_of_others(home, small):
    from indexer.sources import ImportOptions, import_digits

    build_shards(small, 2, run_here(), threads=2)
    options = ImportOptions(first=SMALL, replace=True)
    again = import_digits(small.folder.parent, home / f"pi-{N}" / "decimals.txt", options)
    assert find_store(small.folder.parent, *again.name) == again
    assert shards_folder(again.folder) is not None  # of these very decimals


def test_check_looks_into_every_shard(small):
    from indexer.check import check_store_files
    from indexer.digits import survey_stores

    folder = build_shards(small, 3, run_here(), threads=2)
    (entry,) = survey_stores(small.folder.parent)
    found = check_store_files(entry, 2, deep=True)
    # two of the store, two of the set, six of each shard
    assert len(found.files) == 2 + 2 + 3 * 6
    assert not [check for check in found.files if check.damage]
    bad = folder / str(cut(small.name, 3)[1])
    with (bad / "index/lists.bin").open("r+b") as file:
        file.seek(100_000)
        file.write(b"\xff\xff\xff")
    shutil.rmtree(folder / str(cut(small.name, 3)[2]))
    found = check_store_files(entry, 2, deep=True)
    damaged = [check.path for check in found.files if check.damage]
    gone = folder / str(cut(small.name, 3)[2]) / "manifest.json"
    assert damaged == [bad / "index/lists.bin", gone]
    assert f"next: pilogo build --digits 3e5 --home {small.folder.parent}" in str(
        found.files[-1].damage
    )


def test_a_plan_for_many_machines():
    one, many = (plan_scale(10**12, workers, None, 2e7) for workers in (64, 640))
    assert one.n_shards * count_windows(one.shard.n_windows + 83) >= count_windows(10**12)
    total = one.disk_bytes * one.workers
    assert 15 * 10**12 < total < 15.1 * 10**12  # 14 bytes a window, and the decimals
    assert many.disk_bytes * 9 < one.disk_bytes
    assert many.build_seconds * 5 < one.build_seconds
    assert many.scan_seconds < one.scan_seconds
    larger = plan_scale(10**14, 64, None, 2e7)
    assert larger.n_shards == MOST_SHARDS
    assert 50 < larger.build_seconds / one.build_seconds < 200
    assert not one.resident
    assert plan_scale(10**9, 8, None, 2e7).resident
    assert plan_scale(10**12, 64, 64_000, 2e7).n_shards == 64_000
    told = describe_scale(one)
    assert "10^12" in told
    assert "breaks first" in told
    assert "assumed" in told
    with pytest.raises(UsageError, match="an index of one store holds at most"):
        plan_scale(10**12, 64, 10, 2e7)


@pytest.mark.parametrize(("n", "wanted", "threads", "expected"),
                         [(10**7, None, 1, 1), (10**7, None, 4, 4), (10**7, 9, 4, 9),
                          (90, 9, 4, 7), (3 * 2**30, None, 2, 3)])  # fmt: skip
def test_how_many_shards(n, wanted, threads, expected):
    assert choose_shards(n, wanted, threads) == expected
