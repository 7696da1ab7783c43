"""y-cruncher's files read back by any range; every doubtful one refused with what was found."""

import os
import re
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ycd_writer import FIRST_DIGITS, NAME, header, words_of, write_ycd

from indexer import ycd, ycd_header
from indexer.errors import SourceError, UsageError
from indexer.ycd import find_set, open_set, read_header
from indexer.ycd_words import WORD_LIMIT, decode_words, decode_words_jit

PI = b"14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534"
BLOCK = 1_000


def random_digits(n, seed=0):
    return np.random.default_rng(seed).integers(48, 58, n, dtype=np.uint8)


DIGITS = random_digits(3 * BLOCK + 321)
TEXT = DIGITS.tobytes()


def slow_decode(words):
    """(the last 19 digits of each word, sound words before the first bad one): Python's own."""
    texts = [f"{int(word):019}" for word in words]
    bad = [i for i, text in enumerate(texts) if len(text) > 19]
    return "".join(text[-19:] for text in texts).encode(), bad[0] if bad else len(texts)


def refused(match, call, *args):
    """The one line with which a call is refused."""
    with pytest.raises(SourceError) as caught:
        call(*args)
    message = str(caught.value)
    assert re.search(match, message)
    assert "\n" not in message
    assert len(message) < 700
    return message


def written(folder, head, n_words=53, name="x.ycd"):
    path = folder / name
    path.write_bytes(head + bytes(8 * n_words))
    return path


# ---- words


def test_a_word_holds_nineteen_decimals_the_first_the_most_significant():
    words = np.array([1415926535897932384], np.uint64)
    for decode in (decode_words, decode_words_jit):
        digits, n_sound = decode(words)
        assert (digits.tobytes(), n_sound) == (PI[:19], 1)
    assert words_of(np.frombuffer(PI[:19], np.uint8)).tolist() == [1415926535897932384]


EDGES = [0, 1, 9, 10, 99, 100, WORD_LIMIT - 1, WORD_LIMIT, WORD_LIMIT + 1, 2**63, 2**64 - 1]
EDGES += [10**k + d for k in range(2, 19) for d in (-1, 0, 1)]
EDGES += [k * 10**16 + r for k in (0, 999) for r in (0, 10**8 - 1, 10**8, 10**16 - 1)]


@pytest.mark.parametrize("decode", [decode_words, decode_words_jit])
def test_every_way_of_decoding_gives_what_python_prints(decode):
    rng = np.random.default_rng(1)
    anything = rng.integers(0, 2**64, 5_000, dtype=np.uint64)
    sound = rng.integers(0, WORD_LIMIT, 5_000, dtype=np.uint64)
    small = sound >> rng.integers(0, 64, 5_000, dtype=np.uint64)
    for words in (np.array(EDGES, np.uint64), anything, sound, small, sound[:0], sound[::7]):
        digits, n_sound = decode(words)
        assert (digits.tobytes(), n_sound) == slow_decode(words)
    assert decode(sound)[1] == 5_000


def test_both_halves_of_every_quotient_are_exact():
    """The shifts in place of divisions, for every 4 digits at every place of 4 within a word."""
    fours = np.arange(10**4, dtype=np.uint64)
    for place in range(16):
        words = fours * np.uint64(10**place) + np.uint64(7 * 10**18 % 10**place)
        assert decode_words_jit(words)[0].tobytes() == slow_decode(words)[0]


@pytest.mark.parametrize("decode", [decode_words, decode_words_jit])
@given(bad=st.sets(st.integers(0, 99)))
def test_the_first_bad_word_is_told(decode, bad):
    words = np.full(100, WORD_LIMIT - 1, np.uint64)
    words[sorted(bad)] = WORD_LIMIT
    assert decode(words)[1] == min(bad, default=100)


def test_the_header_is_read_without_llvm(tmp_path):
    (path,) = write_ycd(tmp_path, TEXT)
    code = (
        "import sys; from pathlib import Path; from indexer.ycd import open_set\n"
        "n = open_set([Path(sys.argv[1])]).n; print(n, 'llvmlite' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == [str(len(TEXT)), "False"]


# ---- reading


def test_a_file_spelled_by_hand(tmp_path):
    """Nothing of the writer: what y-cruncher's own viewer documents, byte by byte."""
    path = tmp_path / "Pi - Dec - Chudnovsky.ycd"
    path.write_bytes(
        b"#Compressed Digit File\r\n\r\nFileVersion:\t1.0.0\r\n\r\nBase:\t10\r\n\r\n"
        b"FirstDigits:\t3.14159265358979\r\n\r\nTotalDigits:\t0\r\n\r\n"
        b"Blocksize:\t40\r\nBlockID:\t0\r\n\r\nEndHeader\r\n\r\n\0"
        + struct.pack("<3Q", 1415926535897932384, 6264338327950288419, 71 * 10**17)
        + b"\xff" * 4096
    )
    file = read_header(path)
    assert (file.n, file.n_words, file.total, file.start, file.version) == (40, 3, 0, 0, "1.0.0")
    assert file.first_digits == "3.14159265358979"
    assert path.read_bytes()[file.data_at - 1] == 0
    with open_set([path]) as digits:
        assert (digits.n, digits.first_offset) == (40, 1)
        assert digits.read(0, 40).tobytes() == PI[:38] + b"71"


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("in_last_only", [True, False])
@pytest.mark.parametrize("block", [None, 1, 18, 19, 20, 37, 38, 92])
def test_every_range_of_small_sets(tmp_path, monkeypatch, block, pad, version, in_last_only):
    monkeypatch.setattr(ycd, "_PIECE", 2)
    paths = write_ycd(
        tmp_path, PI, block=block, pad=pad, version=version, in_last_only=in_last_only
    )
    with open_set(paths[::-1]) as digits:
        assert digits.n == len(PI)
        assert [file.path for file in digits.files] == paths
        for begin in range(0, len(PI) + 1, 1 if block == 37 else 5):
            for end in range(begin, len(PI) + 1):
                assert digits.read(begin, end).tobytes() == PI[begin:end]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """One file and many, of the same decimals."""
    found = []
    for block in (None, BLOCK, 19 * 50):
        paths = write_ycd(tmp_path_factory.mktemp("set"), DIGITS, block=block)
        found.append(open_set(paths))
    yield found
    for digits in found:
        digits.close()


@given(data=st.data())
@settings(max_examples=200)
def test_any_range_of_any_set(sets, data):
    digits = data.draw(st.sampled_from(sets))
    begin = data.draw(st.integers(0, len(TEXT)))
    end = data.draw(st.integers(begin, len(TEXT)))
    got = digits.read(begin, end)
    assert got.dtype == np.uint8
    assert got.tobytes() == TEXT[begin:end]


def test_many_pieces(tmp_path):
    n = 3 * 19 * ycd._PIECE + 5
    long = random_digits(n)
    (path,) = write_ycd(tmp_path, long, pad=False)
    with open_set([path]) as digits:
        for begin, end in ((0, n), (7, n - 3), (19 * ycd._PIECE - 1, 19 * ycd._PIECE + 1)):
            assert np.array_equal(digits.read(begin, end), long[begin:end])


@pytest.mark.parametrize(("begin", "end"), [(-1, 5), (5, 4), (0, len(TEXT) + 1), (10**30, 10**31)])
def test_a_range_outside_is_refused(sets, begin, end):
    with pytest.raises(UsageError, match=rf"decimals {begin} to {end} asked of a set of 3,321"):
        sets[0].read(begin, end)


def test_a_set_may_begin_late_and_end_early(tmp_path):
    """Blocks 7 to 9 of a stream that goes on."""
    paths = write_ycd(tmp_path, TEXT[: 3 * BLOCK], block=BLOCK, first_block=7, total=10**9)
    with open_set(paths) as digits:
        assert (digits.first_offset, digits.n, digits.total) == (7 * BLOCK + 1, 3 * BLOCK, 10**9)
        assert digits.read(BLOCK - 5, BLOCK + 5).tobytes() == TEXT[BLOCK - 5 : BLOCK + 5]


def test_a_block_longer_than_the_stream_ends_with_it(tmp_path):
    path = written(tmp_path, header(total=40, block=2**64 - 1), 3)
    assert read_header(path).n == 40
    refused("they|take", read_header, written(tmp_path, header(total=58, block=100), 3))


def test_only_the_words_of_a_range_are_read(sets, monkeypatch):
    reads = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *args: reads.append(args[1:]) or pread(*args))
    digits = sets[1]
    at = digits.files[0].data_at
    for begin, end, wanted in (
        (0, 0, []),
        (0, 1, [(8, at)]),
        (18, 19, [(8, at)]),
        (18, 20, [(16, at)]),
        (19, 38, [(8, at + 8)]),
        (BLOCK - 1, BLOCK, [(8, at + 8 * 52)]),
        (BLOCK - 1, BLOCK + 1, [(8, at + 8 * 52), (8, at)]),
        (0, 3 * BLOCK, [(8 * 53, at)] * 3),
    ):
        reads.clear()
        digits.read(begin, end)
        assert reads == wanted


def test_reads_are_bounded_and_go_on_where_one_gives_less(tmp_path, monkeypatch):
    long = random_digits(19 * ycd._PIECE * 2)
    (path,) = write_ycd(tmp_path, long)
    asked = []
    pread = os.pread

    def stingy(handle, n, at):
        asked.append(n)
        return pread(handle, max(1, n // 2), at)

    monkeypatch.setattr(os, "pread", stingy)
    with open_set([path]) as digits:
        assert np.array_equal(digits.read(0, len(long)), long)
    assert max(asked) == 8 * ycd._PIECE


# ---- handles and threads


def open_handles(digits):
    return len(digits._handles._kept)


def test_files_are_opened_when_read_and_a_bounded_number_stays_open(tmp_path, monkeypatch):
    monkeypatch.setattr(ycd, "_MAX_OPEN", 3)
    opened = []
    open_plain = ycd.open_plain
    monkeypatch.setattr(
        ycd, "open_plain", lambda *a, **k: opened.append(open_plain(*a, **k)) or opened[-1]
    )
    paths = write_ycd(tmp_path, PI, block=10)
    digits = open_set(paths)
    assert not opened
    assert digits.read(0, len(PI)).tobytes() == PI
    assert digits.read(70, len(PI)).tobytes() == PI[70:]  # the last three are still open
    assert (len(opened), open_handles(digits)) == (10, 3)
    assert [file.closed for file in opened] == [True] * 7 + [False] * 3
    digits.close()
    assert all(file.closed for file in opened)
    assert digits.read(3, 9).tobytes() == PI[3:9]  # opens again
    del digits
    assert all(file.closed for file in opened)


def test_a_file_in_use_outlives_its_turn_to_be_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(ycd, "_MAX_OPEN", 1)
    digits = open_set(write_ycd(tmp_path, PI, block=10))
    with digits._handles.lease(0) as first:
        assert digits.read(10, 92).tobytes() == PI[10:]
        digits.close()
        with digits._handles.lease(0) as again:
            assert again != first
        assert os.fstat(first).st_size
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(first)
    digits.close()


def test_several_threads_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(ycd, "_MAX_OPEN", 2)
    monkeypatch.setattr(ycd, "_PIECE", 3)
    digits = open_set(write_ycd(tmp_path, TEXT, block=100))
    ranges = np.random.default_rng(3).integers(0, len(TEXT) + 1, (800, 2))

    def check(pair):
        begin, end = sorted(pair.tolist())
        return digits.read(begin, end).tobytes() == TEXT[begin:end]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(check, ranges))
    assert open_handles(digits) <= 2
    digits.close()


# ---- damage


@pytest.mark.parametrize("number", [0, 2, 3])
@pytest.mark.parametrize("word", [0, 1, 15])
@pytest.mark.parametrize("value", [WORD_LIMIT, 2**64 - 1])
def test_a_damaged_word_is_named_by_file_and_offset(tmp_path, number, word, value):
    paths = write_ycd(tmp_path, TEXT, block=BLOCK, first_block=5)
    at = read_header(paths[number]).data_at + 8 * word
    data = bytearray(paths[number].read_bytes())
    data[at : at + 8] = struct.pack("<Q", value)
    paths[number].write_bytes(data)
    with open_set(paths) as digits:
        first = number * BLOCK + 19 * word
        assert digits.read(0, first).tobytes() == TEXT[:first]
        assert digits.read(first + 19, first + 20).tobytes() == TEXT[first + 19 : first + 20]
        for begin, end in ((0, len(TEXT)), (first, first + 1), (first + 18, first + 19)):
            message = refused("is damaged", digits.read, begin, end)
            offset = f"{5 * BLOCK + first + 1:,}"
            assert message.startswith(f"{paths[number]}: offset {offset} is damaged")
            assert f" {value}; it is below 10^19" in message


def test_padding_is_never_looked_at(tmp_path):
    (path,) = write_ycd(tmp_path, PI, pad=False)
    with path.open("ab") as file:
        file.write(b"\xff" * 5000)
    with open_set([path]) as digits:
        assert digits.read(0, len(PI)).tobytes() == PI


def test_a_file_cut_anywhere_is_refused(tmp_path):
    (path,) = write_ycd(tmp_path, PI, pad=False)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        refused(re.escape(str(path)), read_header, path)
    assert f"{len(whole) - 1:,} bytes" in refused("get it again", read_header, path)
    path.write_bytes(whole)
    assert read_header(path).n == len(PI)


def test_a_file_cut_after_it_was_opened_is_named(tmp_path):
    paths = write_ycd(tmp_path, TEXT, block=BLOCK, pad=False)
    with open_set(paths) as digits:
        size = digits.files[1].data_at + 8 * 3 + 7
        os.truncate(paths[1], size)
        kept = BLOCK + 19 * 3
        assert digits.read(0, kept).tobytes() == TEXT[:kept]
        message = refused("is not there", digits.read, 0, len(TEXT))
        assert message.startswith(f"{paths[1]}: offset {kept + 1:,} is not there")
        assert f"has {size:,} bytes" in message
        digits.close()
        paths[2].unlink()
        refused(rf"{paths[2]}: offset 2,001 cannot be read: No such", digits.read, 2 * BLOCK, 2500)


def test_a_disk_that_fails_is_named(sets, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    refused("offset 1,001 cannot be read: Input/output error", sets[1].read, 1010, 1011)


# ---- headers

GOOD = {"block": 1000}
FAULTS = {
    "version": ({"version": "1.2.0"}, r"FileVersion is '1\.2\.0'; those read are 1\.0\.0, 1\.1\.0"),
    "base 16": ({"base": 16}, "Base is '16'; hexadecimal digits are not decimals"),
    "base 8": ({"base": 8}, "Base is '8'; only 10 is allowed"),
    "base long": ({"base": "9" * 3000}, "Base is '9{40}'; only 10"),
    "first": ({"first": "314159"}, "FirstDigits is '314159'; it is like 3.14159"),
    "first empty": ({"first": ""}, "FirstDigits is ''"),
    "first hex": ({"first": "3.243f6a"}, "FirstDigits is '3.243f6a'"),
    "first long": ({"first": "3." + "1" * 101}, "FirstDigits is '3.1"),
    "block 0": ({"block": 0}, "Blocksize is '0'; it is a number from 1 to 18,446"),
    "block negative": ({"block": -5}, "Blocksize is '-5'"),
    "block plus": ({"block": "+5"}, r"Blocksize is '\+5'"),
    "block real": ({"block": "1e3"}, "Blocksize is '1e3'"),
    "block underscore": ({"block": "1_000"}, "Blocksize is '1_000'"),
    "block empty": ({"block": ""}, "Blocksize is ''"),
    "block huge": ({"block": 2**64}, "Blocksize is '18446744073709551616'"),
    "block of 3,000 figures": ({"block": "9" * 3000}, "Blocksize is '9{40}'"),
    "block too long": ({"block": 10**15 + 1}, "end at decimal 1,000,000,000,000,001; allowed"),
    "id negative": ({"block_id": -1}, "BlockID is '-1'; it is a number from 0 to 1,000"),
    "id huge": ({"block_id": 10**15 + 1}, "BlockID is '1000000000000001'"),
    "id too far": ({"block_id": 10**12}, "end at decimal 1,000,000,000,001,000; allowed"),
    "id after the end": ({"block_id": 3, "total": 3000}, "BlockID is 3; .* the last is 2"),
    "total negative": ({"total": -1}, "TotalDigits is '-1'; it is a number from 0 to 1,000"),
    "total huge": ({"total": 10**15 + 1}, "TotalDigits is '1000000000000001'"),
    "total spaced": ({"total": "1 000"}, "TotalDigits is '1 000'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_field_out_of_bounds_is_refused(tmp_path, fault):
    changed, match = FAULTS[fault]
    path = written(tmp_path, header(**(GOOD | changed)))
    assert str(path) in refused(match, read_header, path)


EDITS = {
    "no magic": (b"#Compressed Digit File", b"#Compressed Digit Fil", "begins with b'#Compressed"),
    "magic goes on": (b"Digit File", b"Digit Files", "the first one is '#Compressed Digit File'"),
    "no NUL": (b"\0", b"\n" * 5000, r"no NUL in its first 4,096 bytes"),
    "NUL too soon": (b"Base", b"\0Base", "no EndHeader before the first NUL"),
    "no EndHeader": (b"EndHeader", b"", "no EndHeader before the first NUL"),
    "EndHeader too soon": (b"Base", b"EndHeader\r\nBase", "'Base:.t10' after EndHeader"),
    "bad UTF-8": (b"3.14159", b"3.\xff4159", "byte 0xff at byte 75 of its header"),
    "UTF-8": (b"Base", "Bäse".encode(), "byte 0xc3 at byte 49 of its header; only ASCII"),
    "no colon": (b"Base:\t", b"Base\t", r"line 'Base.t10' of the header is not"),
    "twice": (b"Base", b"Base:\t10\r\nBase", "'Base' twice in its header"),
    "binary": (b"Base:\t10", b"\x01\x02", r"line '.x01.x02' of the header"),
} | {
    f"no {name}": (name, b"Other", f"no {name.decode()} in its header; FileVersion, Base")
    for name in (b"FileVersion", b"Base", b"FirstDigits", b"TotalDigits", b"Blocksize", b"BlockID")
}


@pytest.mark.parametrize("fault", EDITS)
def test_each_broken_header_is_refused(tmp_path, fault):
    old, new, match = EDITS[fault]
    good = header(**GOOD)
    assert good.count(old) == 1
    path = written(tmp_path, good.replace(old, new), 1000)
    assert str(path) in refused(match, read_header, path)


def test_what_makes_no_difference_is_read(tmp_path):
    good = header(**GOOD)
    wanted = read_header(written(tmp_path, good))
    for head in (
        good.replace(b"\r\n", b"\n"),
        good.replace(b"\r\n\r\n", b"\r\n"),
        good.replace(b"\t", b" "),
        good.replace(b"Base", b"TotalBlocks:\t7\r\nBase"),
        good.replace(b"TotalDigits:\t0", b"TotalDigits:\t" + b"0" * 20),
        good.replace(b"Blocksize:\t1000\r\nBlockID:\t0", b"BlockID:\t0\r\nBlocksize:\t1000"),
    ):
        found = read_header(written(tmp_path, head))
        assert (found.n, found.data_at) == (wanted.n, len(head))


def test_a_header_of_just_the_limit_is_read(tmp_path, monkeypatch):
    head = header(**GOOD)
    monkeypatch.setattr(ycd_header, "HEADER_LIMIT", len(head))
    assert read_header(written(tmp_path, head)).data_at == len(head)
    monkeypatch.setattr(ycd_header, "HEADER_LIMIT", len(head) - 1)
    refused("no NUL", read_header, written(tmp_path, head))


@given(data=st.data())
@settings(max_examples=300)
def test_any_bytes_give_a_header_or_one_line(tmp_path_factory, data):
    """Random edits of a good header: never another exception."""
    head = bytearray(header(total=1000, **GOOD))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(head)))
        n_gone = data.draw(st.integers(0, 5))
        head[at : at + n_gone] = data.draw(st.binary(max_size=5))
    path = written(tmp_path_factory.getbasetemp(), bytes(head), 53, "edited.ycd")
    message, file = "", None
    try:
        file = read_header(path)
    except SourceError as error:
        message = str(error)
    if file is None:
        assert str(path) in message
        assert "\n" not in message
    else:
        assert file.n >= 1
        assert file.data_at + 8 * file.n_words <= file.n_bytes


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.ycd")
    for name, match in (("none.ycd", "No such file"), ("pipe.ycd", "not a regular"), (".", "not")):
        refused(match, read_header, tmp_path / name)
    refused("null", read_header, tmp_path / "a\0b.ycd")
    (tmp_path / "empty.ycd").touch()
    refused("begins with b''", read_header, tmp_path / "empty.ycd")


def test_a_link_that_the_user_names_is_followed(tmp_path):
    (path,) = write_ycd(tmp_path, PI)
    link = tmp_path / "link.ycd"
    link.symlink_to(path)
    with open_set([link]) as digits:
        assert digits.read(0, 5).tobytes() == PI[:5]


# ---- sets


def test_no_files_are_no_set():
    refused("no .ycd files are given", open_set, [])


@pytest.mark.parametrize("gone", [1, 2])
def test_a_gap_is_refused(tmp_path, gone):
    paths = write_ycd(tmp_path, TEXT, block=BLOCK)
    rest = [path for path in paths if path != paths[gone]]
    message = refused(f"{gone} is needed next: a file is missing", open_set, rest)
    assert message.startswith(f"{paths[gone + 1]} has BlockID {gone + 1} and {paths[gone - 1]} ")


def test_a_file_twice_is_refused(tmp_path):
    paths = write_ycd(tmp_path, TEXT, block=BLOCK)
    refused(rf"{paths[2]} has BlockID 2, as {paths[2]} has", open_set, [*paths, paths[2]])
    copy = tmp_path / "copy.ycd"
    copy.write_bytes(paths[1].read_bytes())
    message = refused("once is allowed", open_set, [*paths, copy])
    assert str(copy) in message
    assert str(paths[1]) in message


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"block": 999}, "Blocksize is 999; .* has 1000,"),
        ({"first": "2.71828"}, "FirstDigits is 2.71828; .* has 3.14159"),
        ({"total": 1500}, "TotalDigits is 1500; .* has 2000,"),
        ({"base": 16}, "Base is '16'; hexadecimal"),
    ],
)
def test_a_mixed_set_is_refused_and_the_file_named(tmp_path, changed, match):
    paths = write_ycd(tmp_path, TEXT[: 2 * BLOCK], block=BLOCK)
    fields = {"block": BLOCK, "block_id": 1, "total": 2 * BLOCK} | changed
    written(tmp_path, header(**fields), name=paths[1].name)
    message = refused(match, open_set, paths)
    assert message.startswith(str(paths[1]))


def test_the_total_of_the_last_file_holds_for_all(tmp_path):
    """Older writers fill in TotalDigits where the last file is not full, and there alone."""
    paths = write_ycd(tmp_path, TEXT, block=BLOCK, in_last_only=True)
    assert [read_header(path).total for path in paths] == [0, 0, 0, len(TEXT)]
    with open_set(paths) as digits:
        assert (digits.n, digits.total) == (len(TEXT), len(TEXT))
    with open_set(paths[:3]) as digits:
        assert (digits.n, digits.total) == (3 * BLOCK, 0)


def test_a_full_file_after_the_end_is_refused(tmp_path):
    first = written(tmp_path, header(block=BLOCK, total=1500), name="0.ycd")
    second = written(tmp_path, header(block=BLOCK, block_id=1), name="1.ycd")
    message = refused(
        "ends at decimal 2,000; another file .* 1,500 are all", open_set, [first, second]
    )
    assert message.startswith(str(second))


# ---- which files


def test_a_folder_means_all_its_files_in_the_order_of_numbers(tmp_path):
    refused("has no .ycd files; at least one", find_set, tmp_path)
    (tmp_path / "notes.txt").touch()
    refused("has no .ycd files", find_set, tmp_path)
    paths = write_ycd(tmp_path, TEXT, block=300)
    assert len(paths) == 12
    assert find_set(tmp_path) == paths


def test_a_file_brings_those_named_alike(tmp_path):
    paths = write_ycd(tmp_path, TEXT, block=300)
    others = (
        "E - Dec - 0.ycd",
        f"{NAME}.ycd",
        f"{NAME} - .ycd",
        f"{NAME} - 3.txt",
        f"{NAME} 3.ycd",
    )
    for other in others:
        (tmp_path / other).touch()
    assert find_set(paths[5]) == paths
    assert find_set(tmp_path / others[1]) == [tmp_path / others[1]]
    assert find_set(tmp_path / others[0]) == [tmp_path / others[0]]
    upper = paths[3].rename(paths[3].with_suffix(".YCD"))
    assert find_set(paths[0])[3] == upper
    assert len(find_set(upper)) == 12
    text = tmp_path / others[3]
    assert find_set(text) == [text]
    with open_set(find_set(paths[7])) as digits:
        assert digits.first_digits == FIRST_DIGITS
        assert digits.read(0, digits.n).tobytes() == TEXT


def test_a_path_that_is_not_there_says_so(tmp_path):
    refused("cannot be read: No such file", find_set, tmp_path / "none" / "Pi - 0.ycd")
    missing = tmp_path / "Pi - 0.ycd"
    assert find_set(missing) == [missing]
    refused("cannot be read: No such file", open_set, find_set(missing))


# In a process of its own: machine code that is freed while it runs ends it.
_MANY_THREADS = """
import threading
import numpy as np
from indexer.ycd_words import decode_words_jit
words = np.arange(200_000, dtype=np.uint64)
start = threading.Barrier(8)
def decode():
    start.wait()
    for _ in range(20):
        decode_words_jit(words)
threads = [threading.Thread(target=decode) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_threads_that_decode_first_compile_once():
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", _MANY_THREADS], cwd=Path(__file__).parent.parent, check=False
        )
        assert done.returncode == 0
