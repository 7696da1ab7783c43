"""The summary against plain integers; stores: choosing, opening, refusing damage."""

import dataclasses
import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import digits as digits_module
from indexer.compute import compute_digits
from indexer.constants import CONSTANTS
from indexer.decimals import MappedDecimals
from indexer.digits import (
    DigitStore,
    check_store,
    choose_store,
    default_home,
    find_store,
    list_damaged,
    list_stores,
    short_count,
)
from indexer.errors import StoreDamaged, StoreMissing, UsageError
from indexer.home import remake_command
from indexer.known import known_reach, known_sizes
from indexer.packaged import data_file
from indexer.summary import MODULUS, Summariser, merge_decimal_hash, summarise


def ascii_digits(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def mapped(text: str) -> MappedDecimals:
    return MappedDecimals(ascii_digits(text))


def reference_hash(integer_part: int, text: str) -> int:
    """The definition, by a plain loop."""
    value = integer_part
    for character in text:
        value = value * 10 + int(character)
    return value % MODULUS


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    for n in (100, 5_000, 1_000_000):
        compute_digits(home, n)
    compute_digits(home, 200, "e")
    return home


def copied(home: Path, tmp_path: Path, name: str) -> DigitStore:
    """A store of its own for a test that breaks it."""
    folder = tmp_path / name
    folder.mkdir()
    for file in (home / name).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    constant, n = name.split("-")
    store = find_store(tmp_path, constant, int(n))
    assert store is not None
    return store


@pytest.mark.parametrize("n", [0, 1, 7, 8, 8191, 8192, 8193, 20_000, 40_001])
def test_summary_equals_plain_integers(n):
    text = "".join(map(str, np.random.default_rng(n).integers(0, 10, n)))
    found = summarise(mapped(text), 3)[n]
    assert found.decimal_hash == reference_hash(3, text)
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert found.digit_counts == tuple(text.count(str(digit)) for digit in range(10))


@given(st.lists(st.integers(0, 20_000), max_size=5), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_summary_does_not_depend_on_how_the_digits_come(lengths, seed):
    digits = np.random.default_rng(seed).integers(48, 58, sum(lengths), dtype=np.uint8)
    summariser = Summariser(2)
    for piece in np.split(digits, np.cumsum(lengths)):
        summariser.update(piece)
    assert summariser.summary() == summarise(MappedDecimals(digits), 2)[len(digits)]


@given(st.text("0123456789", max_size=300), st.text("0123456789", max_size=300))
def test_hashes_of_stretches_merge(a, b):
    whole = reference_hash(3, a + b)
    assert merge_decimal_hash(reference_hash(3, a), reference_hash(0, b), len(b)) == whole
    hash_b = summarise(mapped(b), 0)[len(b)].decimal_hash
    assert merge_decimal_hash(reference_hash(3, a), hash_b, len(b)) == whole


@pytest.mark.parametrize("value", [0x2F, 0x3A, 0x00, 0xFF])
def test_summary_names_what_is_no_digit(value):
    digits = np.full(30_000, 55, np.uint8)
    digits[12_345] = value
    with pytest.raises(ValueError, match=f"byte {value:#04x} at offset 12346 "):
        summarise(MappedDecimals(digits), 3)


def test_summaries_at_stops():
    digits = np.random.default_rng(5).integers(48, 58, 50_000, dtype=np.uint8)
    done = []
    found = summarise(MappedDecimals(digits), 3, (10, 9_000, 60_000), done.append)
    assert sorted(found) == [10, 9_000, 50_000]
    assert found[9_000] == summarise(MappedDecimals(digits[:9_000]), 3)[9_000]
    assert done == [10, 9_000, 50_000]


def test_a_million_decimals_are_the_known_ones(home):
    """Against data/checks.json, read here and not through known.py."""
    known = json.loads(data_file("checks.json").read_text())
    store = choose_store(home, 10**6)
    assert store.summary.decimal_hash == known["decimal_hash"]["1000000"]
    assert list(store.summary.digit_counts) == known["digit_counts"]["1000000"]
    assert store.summary.sha256 == known["sha256_of_ascii_decimals"]["1000000"]
    digits = store.open()
    assert digits[-20:].tobytes().decode() == known["last_20_digits"]["1000000"]
    assert digits[761:767].tobytes() == b"999999"
    claims = check_store(store)
    assert all(claim.ok for claim in claims)
    assert len(claims) == 3 + 1 + 3 + 1 + 1


def test_open_is_read_only_and_cut(home):
    digits = choose_store(home, 100).open(50)
    assert digits.tobytes().decode() == CONSTANTS["pi"].first_decimals
    with pytest.raises(ValueError, match="read-only"):
        digits[0] = 0
    with pytest.raises(UsageError, match="101 decimals asked"):
        choose_store(home, 100).open(101)


def test_choose_store(home):
    assert choose_store(home).n == 10**6
    assert choose_store(home, 84).n == 100
    assert choose_store(home, 101).n == 5_000
    assert choose_store(home, None, "e").n == 200
    with pytest.raises(StoreMissing, match=r"1,000,000.*pilogo digits compute 1e9"):
        choose_store(home, 10**9)
    with pytest.raises(StoreMissing, match=r"there is none.*compute 1e7 --constant phi"):
        choose_store(home, None, "phi")
    with pytest.raises(UsageError, match="83 decimals"):
        choose_store(home, 83)
    with pytest.raises(UsageError, match="'tau'"):
        choose_store(home, 100, "tau")


def test_list_stores_ignores_what_is_not_named_like_one(home, tmp_path):
    copied(home, tmp_path, "pi-100")
    for name in ("pi-200.wip", "pi-200.old", "pi-import.wip", "tau-100", "pi-0100"):
        (tmp_path / name).mkdir()
    (tmp_path / "pi-300").write_text("a file")
    assert [store.n for store in list_stores(tmp_path)] == [100]
    assert list_damaged(tmp_path) == []
    assert list_stores(tmp_path / "nowhere") == []


def test_a_damaged_store_is_not_passed_over(home, tmp_path):
    copied(home, tmp_path, "pi-100")
    store = copied(home, tmp_path, "pi-5000")
    (store.folder / "manifest.json").unlink()
    with pytest.raises(StoreDamaged, match="pi-5000 has no manifest"):
        choose_store(tmp_path)
    assert choose_store(tmp_path, 90).n == 100
    assert [store.n for store in list_stores(tmp_path)] == [100]
    assert ["pi-5000" in str(error) for error in list_damaged(tmp_path)] == [True]


@pytest.mark.parametrize("change", [-1, 1])
def test_open_refuses_another_size(home, tmp_path, change):
    store = copied(home, tmp_path, "pi-5000")
    os.truncate(store.path, 5_000 + change)
    with pytest.raises(StoreDamaged, match=f"{5_000 + change} bytes; the manifest says 5000"):
        store.open()


@pytest.mark.parametrize("start", [0, 4_999])
def test_open_looks_at_both_ends(home, tmp_path, start):
    store = copied(home, tmp_path, "pi-5000")
    with store.path.open("rb+") as file:
        file.seek(start)
        file.write(b"\n")
    with pytest.raises(StoreDamaged, match="does not begin and end as its manifest"):
        store.open()
    with pytest.raises(StoreDamaged, match=f"0x0a at offset {start + 1} "):
        store.open(prove_ends=False)


def test_open_refuses_a_missing_file_and_a_pipe(home, tmp_path):
    store = copied(home, tmp_path, "pi-100")
    store.path.unlink()
    with pytest.raises(StoreDamaged, match=r"decimals\.txt cannot be read: No such file or dir"):
        store.open()
    store.path.mkdir()
    with pytest.raises(
        StoreDamaged, match=r"decimals\.txt cannot be read: not a regular file; next"
    ):
        store.open()
    store.path.rmdir()
    if sys.platform != "win32":
        os.mkfifo(store.path)
        with pytest.raises(StoreDamaged, match="not a regular file"):
            store.open()


def test_check_finds_one_changed_digit(home, tmp_path):
    store = copied(home, tmp_path, "pi-1000000")
    with store.path.open("rb+") as file:
        file.seek(500_000)
        old = file.read(1)
        file.seek(500_000)
        file.write(b"0" if old != b"0" else b"1")
    failed = {claim.claim for claim in check_store(store) if not claim.ok}
    assert failed >= {"manifest: sha256", "manifest: decimal hash", "sha256 of the first 1,000,000"}


def test_check_compares_known_values_beyond_the_manifest(home, tmp_path):
    """A manifest that agrees with wrong decimals: only the known values can tell."""
    store = copied(home, tmp_path, "pi-1000000")
    digits = np.array(store.open())
    digits[500_000] = 48 + (digits[500_000] - 47) % 10
    store.path.write_bytes(digits.tobytes())
    lying = dataclasses.replace(store, summary=summarise(MappedDecimals(digits), 3)[10**6])
    failed = [claim.claim for claim in check_store(lying) if not claim.ok]
    assert failed == [
        f"{what} of the first 1,000,000" for what in ("decimal hash", "digit counts", "sha256")
    ]


def test_check_refuses_what_is_no_digit(home, tmp_path):
    store = copied(home, tmp_path, "pi-1000000")
    with store.path.open("rb+") as file:
        file.seek(500_000)
        file.write(b"x")
    with pytest.raises(
        StoreDamaged,
        match="0x78 at offset 500001 is no digit; next: pilogo digits compute 1e6 --replace",
    ):
        check_store(store)


def test_known_sizes():
    assert known_sizes("pi") == [10**6, 10**7, 10**8, 10**9]
    assert known_sizes("e") == []


@pytest.mark.parametrize(
    ("constant", "n", "reach"),
    [
        ("pi", 84, 50),
        ("pi", 10**6 - 1, 50),
        ("pi", 10**6, 10**6),
        ("pi", 1_200_000, 10**6),
        ("pi", 10**12, 10**9),
        ("e", 10**9, 50),
    ],
)
def test_how_far_known_values_reach(constant, n, reach):
    assert known_reach(constant, n) == reach


@pytest.mark.parametrize(
    ("constant", "home", "command"),
    [
        ("pi", "/here", "pilogo digits compute 1e7 --replace"),
        ("e", "/here", "pilogo digits compute 1e7 --replace --constant e"),
        ("pi", "/a b", "pilogo digits compute 1e7 --replace --home '/a b'"),
    ],
)
def test_the_next_step_is_a_command_to_copy(monkeypatch, constant, home, command):
    monkeypatch.setenv("PILOGO_HOME", "/here")
    assert remake_command(Path(home) / f"{constant}-10000000") == command


def test_default_home(monkeypatch, tmp_path):
    monkeypatch.setenv("PILOGO_HOME", str(tmp_path))
    assert default_home() == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PILOGO_HOME", "~/x")
    assert default_home() == tmp_path / "x"
    monkeypatch.delenv("PILOGO_HOME")
    assert default_home().name == "pilogo"


@pytest.mark.parametrize(
    ("n", "text"), [(10**7, "1e7"), (25 * 10**8, "25e8"), (12_345, "12345"), (100, "100")]
)
def test_short_count(n, text):
    assert short_count(n) == text


def test_public_names_exist():
    assert all(hasattr(digits_module, name) for name in digits_module.__all__)
