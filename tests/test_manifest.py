"""The manifest: written and read back, and every doubtful field refused by name."""

import json
from pathlib import Path

import pytest

from indexer.checksums import LargeRecord
from indexer.documents import LARGEST_BYTES, write_document
from indexer.errors import StoreDamaged
from indexer.manifest import Manifest, read_manifest, write_manifest
from indexer.summary import DigitSummary

SUMMARY = DigitSummary(100, "ab" * 32, (10,) * 10, 12345)
RECORD = LargeRecord(100, "ab" * 32, "cd" * 32, ("ef" * 32,))
MADE = {"how": "computed", "seconds": 1.5}
GOOD = Manifest("pi", 100, "decimals.txt", False, 100, 0, SUMMARY, RECORD, MADE)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pi-100"
    folder.mkdir()
    write_manifest(folder, GOOD)
    return folder


def test_round_trip(folder):
    assert read_manifest(folder) == GOOD
    assert [file.name for file in folder.iterdir()] == ["manifest.json"]


def test_round_trip_in_place_with_a_name_that_is_no_text(folder):
    name = str(folder / "d\udcff.txt")
    manifest = Manifest("pi", 100, name, True, 103, 2, SUMMARY, RECORD, {})
    write_manifest(folder, manifest)
    assert read_manifest(folder) == manifest


def changed(folder: Path, keys: tuple[str, ...], value: object) -> None:
    path = folder / "manifest.json"
    document = unsealed(path)
    inner = document
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    write_document(path, document)


def unsealed(path: Path) -> dict:
    document = json.loads(path.read_text())
    del document["seal"]
    return document


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("format",), "other", "'other'.*another program's"),
        (("version",), 3, "version 3 is too new.*update pilogo"),
        (("version",), 1, "version 1 is too old"),
        (("version",), True, "version is True"),
        (("version",), "1", "version is '1'"),
        (("constant",), "tau", "'tau'; it must be one of pi, e"),
        (("constant",), "e", "e-100.*folder pi-100"),
        (("n",), 99, "pi-99.*folder pi-100"),
        (("n",), 83, "n is 83"),
        (("n",), 10**18, "n is 1000000000000000000"),
        (("n",), 100.0, r"n is 100\.0"),
        (("first_offset",), 2, "pi-100-from-2.*folder pi-100"),
        (("file",), [], r"file is \[\]"),
        (
            ("file", "path"),
            "../other/decimals.txt",
            "other/decimals.txt'; it must be 'decimals.txt'",
        ),
        (("file", "path"), "/etc/passwd", "'/etc/passwd'"),
        (("file", "path"), "a\0b", "file.path"),
        (("file", "in_place"), True, "an absolute path"),
        (("file", "in_place"), 1, "true or false"),
        (("file", "bytes"), 101, "file.bytes is 101"),
        (("file", "skip"), 1, "file.skip is 1"),
        (("file", "skip"), -1, "file.skip is -1"),
        (("decimals", "bytes"), 101, "decimals.bytes is 101; it must be n = 100"),
        (("decimals", "sha256"), "AB" * 32, "lower case"),
        (("decimals", "sha256"), "ab", "'ab'"),
        (("decimals", "ends_sha256"), None, "decimals.ends_sha256 is None"),
        (("decimals", "block_bytes"), 4096, "decimals.block_bytes is 4096"),
        (("decimals", "blocks"), [], "decimals.blocks is .*a list of 1"),
        (("decimals", "blocks"), ["ab" * 32] * 2, "decimals.blocks is .*a list of 1"),
        (("decimals", "blocks"), [7], "decimals.blocks.0 is 7"),
        (("digit_counts",), [10] * 9 + [11], "add up to n = 100"),
        (("digit_counts",), [100], "ten counts"),
        (("digit_counts",), [True] * 10, "ten counts"),
        (("decimal_hash",), 2**61 - 1, "decimal_hash is 2305843009213693951"),
        (("decimal_hash",), None, "decimal_hash is None"),
        (("made",), {"how": ["x"]}, "made.how"),
        (("made",), {"how": "x" * 5000}, "made.how"),
        (("made",), {str(i): i for i in range(40)}, "made.32"),
    ],
)
def test_each_doubtful_field_is_named(folder, keys, value, words):
    changed(folder, keys, value)
    with pytest.raises(StoreDamaged, match=words):
        read_manifest(folder)


@pytest.mark.parametrize(
    "key", ["format", "version", "constant", "n", "file", "digit_counts", "made", "decimals"]
)
def test_each_missing_field_is_named(folder, key):
    path = folder / "manifest.json"
    document = unsealed(path)
    del document[key]
    write_document(path, document)
    with pytest.raises(StoreDamaged, match=f"{key} is None; it must be present"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 60_000, "is not JSON"),
        (b'{"n": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b"[1]", r"is \[1\]; it must be a JSON object"),
        (b" " * (LARGEST_BYTES + 1), "larger than 65536"),
    ],
)
def test_bytes_that_are_no_manifest(folder, raw, words):
    (folder / "manifest.json").write_bytes(raw)
    with pytest.raises(StoreDamaged, match=words):
        read_manifest(folder)


def test_truncations_are_refused(folder):
    path = folder / "manifest.json"
    whole = path.read_bytes().rstrip()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreDamaged):
            read_manifest(folder)


def test_a_field_changed_without_its_seal_is_found(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("12345", "12346"))
    with pytest.raises(StoreDamaged, match="is not what was written"):
        read_manifest(folder)


def test_a_link_is_not_followed(folder, tmp_path):
    path = folder / "manifest.json"
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(StoreDamaged, match="a link out of the store is not followed"):
        read_manifest(folder)


def test_no_manifest(folder):
    (folder / "manifest.json").unlink()
    with pytest.raises(StoreDamaged, match=r"pi-100 has no manifest\.json"):
        read_manifest(folder)
