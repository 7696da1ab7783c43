"""Importing .ycd sets and parts of a number, and searching them where they are."""

import dataclasses
import json

import numpy as np
import pytest
from ycd_writer import write_ycd

from indexer.compute import compute_digits
from indexer.digits import check_store, choose_store, find_store
from indexer.errors import SourceError, StoreDamaged, StoreMissing
from indexer.proof import check_stores, describe_stores, stores_to_check
from indexer.shard_build import build_shards, run_here
from indexer.sources import ImportOptions, import_digits
from indexer.window import count_windows
from query.finder import Finder
from query.report import format_json, format_table

N = 1_000_000


@pytest.fixture
def digits(decimals):
    return decimals[:N]


def said(finder, bitmap, **options):
    return format_json(dataclasses.replace(finder.find(bitmap, **options), seconds=0.0))


@pytest.mark.parametrize("block", [None, 300_000])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_set_becomes_a_store(tmp_path, digits, soundcloud, block, in_place):
    paths = write_ycd(tmp_path, digits, block=block)
    store = import_digits(tmp_path / "home", paths[-1], ImportOptions(in_place=in_place))
    assert (store.n, store.first_offset, bool(store.packed)) == (N, 1, in_place)
    assert store.decimals().read(0, N).tobytes() == digits.tobytes()
    store.require_sound(2)
    assert all(claim.ok for claim in check_store(store))
    text = import_digits(tmp_path / "other", _text(tmp_path, digits))
    assert store.summary == text.summary
    assert store.record == text.record
    one, other = Finder(tmp_path / "home", threads=2), Finder(tmp_path / "other", threads=2)
    for bitmap in (soundcloud, np.full((6, 14), 5, np.uint8)):
        assert said(one, bitmap, top=50) == said(other, bitmap, top=50)
    assert one.read_digits(299_990, 40) == other.read_digits(299_990, 40)


def _text(folder, digits):
    path = folder / "decimals-of-pi.txt"
    path.write_bytes(b"3." + digits.tobytes())
    return path


def test_a_folder_or_some_files_are_a_set(tmp_path, digits):
    folder = tmp_path / "set"
    folder.mkdir()
    paths = write_ycd(folder, digits, block=250_000)
    for number, source in enumerate((folder, paths[::-1], paths[:1])):
        assert import_digits(tmp_path / f"home{number}", source).n == N


def test_windows_at_every_seam_of_files_and_chunks(tmp_path, digits):
    paths = write_ycd(tmp_path, digits, block=300_000)
    import_digits(tmp_path / "home", paths[0], ImportOptions(in_place=True))
    finder = Finder(tmp_path / "home", threads=2)
    starts = [0, 1, N - 84, *range(299_910, 300_005, 19), 69_632, 69_631, 278_528]
    for start in starts:
        bitmap = (digits[start : start + 84] - 48).reshape(6, 14)
        match = finder.find(bitmap, top=1).matches[0]
        assert (match.offset, match.distance) == (start + 1, 0)


def test_a_part_of_pi_says_so(tmp_path, digits, soundcloud):
    paths = write_ycd(tmp_path, digits, block=250_000)
    store = import_digits(tmp_path / "home", paths[1:][0].parent, ImportOptions(first=N))
    assert store.first_offset == 1
    for path in paths[:1]:
        path.unlink()
    part = import_digits(tmp_path / "part", tmp_path, ImportOptions(in_place=True))
    assert (part.first_offset, part.n, part.folder.name) == (
        250_001,
        750_000,
        "pi-750000-from-250001",
    )
    finder = Finder(tmp_path / "part")
    answer = finder.find(soundcloud)
    whole = Finder(tmp_path / "home").find(soundcloud, top=200).matches
    offsets = [m.offset for m in whole if m.offset > 250_000][:10]
    assert [match.offset for match in answer.matches] == offsets
    assert json.loads(format_json(answer))["first_offset"] == 250_001
    said = format_table(answer, style="compact")
    assert "in the decimals 250,001 to 1,000,000 of pi" in said
    assert choose_store(tmp_path / "part") == part
    assert choose_store(tmp_path / "part", 1000, first_offset=250_001) == part
    with pytest.raises(StoreMissing, match="no store of 1,000 decimals of pi in"):
        choose_store(tmp_path / "part", 1000)


def test_a_text_that_begins_anywhere(tmp_path, digits):
    path = tmp_path / "tail.txt"
    lines = [digits[at : at + 50].tobytes() for at in range(500_000, N, 50)]
    path.write_bytes(b"\n".join(lines))
    options = ImportOptions(first_offset=500_001)
    store = import_digits(tmp_path / "home", path, options)
    assert store.path.read_bytes() == digits[500_000:].tobytes()
    text, expected = digits[500_000:].tobytes().decode(), 0
    for at in range(0, len(text), 4000):
        expected = (expected * 10**4000 + int(text[at : at + 4000])) % (2**61 - 1)
    assert store.summary.decimal_hash == expected
    findings = check_stores(stores_to_check(tmp_path / "home", None, "pi"))
    claims = {row["claim"]: row["ok"] for row in findings.rows}
    assert claims["the 20 up to offset 1,000,000"] is True
    assert claims["known values cover"] is None
    compute_digits(tmp_path / "home", 1000)
    (entry,) = stores_to_check(tmp_path / "home", None, "pi", 500_001)
    assert entry.first_offset == 500_001
    assert [e.n for e in stores_to_check(tmp_path / "home", 100, "pi")] == [1000]
    with pytest.raises(StoreMissing, match="no store of decimals of pi from offset 77 on"):
        stores_to_check(tmp_path / "home", None, "pi", 77)
    _, row = describe_stores(tmp_path / "home").rows
    assert (row["first_offset"], row["ok"]) == (500_001, True)
    with pytest.raises(SourceError, match="the 20 up to offset 1,000,000"):
        import_digits(tmp_path / "wrong", path, ImportOptions(first_offset=500_002, first=499_999))
    with pytest.raises(SourceError, match="begins with"):
        import_digits(tmp_path / "wrong", path)


def test_the_wrong_constant_is_refused(tmp_path, digits):
    paths = write_ycd(tmp_path, digits)
    with pytest.raises(SourceError, match=r"first digits are 3\.14.*those of e are 2\.71"):
        import_digits(tmp_path / "home", paths[0], ImportOptions(constant="e"))
    with pytest.raises(SourceError, match="begins at offset 1, and --from says 5"):
        import_digits(tmp_path / "home", paths[0], ImportOptions(first_offset=5))


def test_decimals_that_are_not_pi_are_refused(tmp_path, digits):
    wrong = digits.copy()
    wrong[600_000] = 48 + (wrong[600_000] - 47) % 10
    paths = write_ycd(tmp_path, wrong)
    for in_place in (False, True):
        with pytest.raises(SourceError, match="first 1,000,000"):
            import_digits(tmp_path / "home", paths[0], ImportOptions(in_place=in_place))


def test_damage_under_a_store_in_place(tmp_path, digits, soundcloud):
    paths = write_ycd(tmp_path, digits, block=500_000)
    store = import_digits(tmp_path / "home", paths[0], ImportOptions(in_place=True))
    with paths[1].open("r+b") as file:
        file.seek(paths[1].stat().st_size // 2 // 8 * 8)
        file.write(b"\xff" * 16)
    with pytest.raises(StoreDamaged, match=paths[1].name):
        store.require_sound(2)
    with pytest.raises(StoreDamaged, match=paths[1].name):
        Finder(tmp_path / "home").find(soundcloud)
    paths[1].unlink()
    with pytest.raises(StoreDamaged, match=r"cannot be read.*next: pilogo digits compute 1e6"):
        Finder(tmp_path / "home")


def test_a_set_in_place_is_cut_into_shards(tmp_path, digits, soundcloud):
    paths = write_ycd(tmp_path, digits, block=300_000)
    store = import_digits(tmp_path / "home", paths[0], ImportOptions(in_place=True))
    before = said(Finder(tmp_path / "home"), soundcloud)
    folder = build_shards(store, 3, run_here(), threads=2)
    assert said(Finder(tmp_path / "home"), soundcloud, exact=True) == before
    for path in paths:
        path.unlink()  # the shards have decimals of their own
    assert said(Finder(tmp_path / "home"), soundcloud, exact=True) == before
    assert sum(count_windows(shard.n) for shard in map(_read, folder.glob("pi-*"))) == (
        count_windows(N)
    )
    assert find_store(tmp_path / "home", "pi", N) is not None


def _read(folder):
    from indexer.digits import read_store

    return read_store(folder)
