"""Every layout and container read back, every doubtful file refused with what was found."""

import bz2
import gzip
import io
import itertools
import lzma
import os
import textwrap
import zipfile
from pathlib import Path

import flint
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import containers, layouts, sources
from indexer.compute import compute_digits
from indexer.constants import CONSTANTS
from indexer.containers import TextSource
from indexer.digits import check_store, list_stores
from indexer.errors import ResourceError, SourceError, StoreDamaged, UsageError
from indexer.layouts import DecimalReader
from indexer.sources import ImportOptions, import_digits

N = 2_000


def decimals(n: int) -> str:
    flint.ctx.dps = n + 30
    return flint.arb.pi().str(n + 20, radius=False)[2 : n + 2]


PI = decimals(200_000)


def grouped(text: str, group: int = 10, per_line: int = 10) -> list[str]:
    groups = [text[i : i + group] for i in range(0, len(text), group)]
    return [" ".join(groups[i : i + per_line]) for i in range(0, len(groups), per_line)]


def counted_at_end(text: str, mark: str = "  :  {}") -> str:
    lines, done = [], 0
    for line in grouped(text):
        done += len(line.replace(" ", ""))
        lines.append(line + mark.format(f"{done:,}" if "," in mark else done).replace(",,", ""))
    return "\n".join(lines) + "\n"


def counted_at_start(text: str, base: int, mark: str) -> str:
    lines, done = [], 0
    for line in grouped(text):
        lines.append(mark.format(done + base) + line)
        done += len(line.replace(" ", ""))
    return "\n".join(lines) + "\n"


P = PI[:N]
LAYOUTS = {
    "point": "3." + P,
    "point and newline": "3." + P + "\n",
    "point, then the decimals on their own line": "3.\n" + P,
    "bare": P,
    "no point": "3" + P,
    "white space around": "\n\n  3." + P + " \r\n\t\n",
    "byte order mark": "\ufeff3." + P,
    "name": "Pi = 3." + P,
    "lines": "3.\n" + "\n".join(textwrap.wrap(P, 100)),
    "lines, CRLF": "3.\r\n" + "\r\n".join(textwrap.wrap(P, 64)) + "\r\n",
    "lines, the first shorter by the point": "\n".join(textwrap.wrap("3." + P, 80)),
    "groups": "3.\n" + "\n".join(grouped(P)),
    "groups of five, blank lines": "3.\n" + "\n\n".join(grouped(P, 5, 12)),
    "groups after the point": "3." + "\n".join(grouped(P)),
    "one line of groups": "3." + " ".join(textwrap.wrap(P, 10)),
    "counter at the end": "3.\n" + counted_at_end(P),
    "counter at the end, first line with the point": "3." + counted_at_end(P, " : {}"),
    "counter with commas": counted_at_end(P, " : {}").replace(" : 1000", " : 1,000"),
    "counter at the end without colon": counted_at_end(P, " {}"),
    "counter at the end, zeros before it": counted_at_end(P, "  {:>010}"),
    "counter at the end, last line short": counted_at_end(PI[: N - 13]),
    "counter at the start from 0": counted_at_start(P, 0, "{}: "),
    "counter at the start from 1": counted_at_start(P, 1, "{:08d}: "),
    "counter at the start without colon": "3.\n" + counted_at_start(P, 1, "{:>6} "),
    "text before": "The decimals of pi, by nobody.\nReleased 1995.\n\n3." + "\n".join(grouped(P)),
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "source.txt"


def imported(home: Path, path: Path, **options: object) -> str:
    store = import_digits(home, path, ImportOptions(**options))
    assert all(claim.ok for claim in check_store(store))
    return store.open().tobytes().decode()


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("chunk", [7, 1 << 18])
def test_layouts(tmp_path, file, monkeypatch, layout, chunk):
    """Also in tiny chunks, so that everything lies across a seam somewhere."""
    monkeypatch.setattr(containers, "CHUNK", chunk)
    monkeypatch.setattr(layouts, "_HEAD", 2_000 if chunk == 7 else 1 << 16)
    file.write_bytes(LAYOUTS[layout].encode("utf-8"))
    expected = PI[: N - 13] if layout.endswith("short") else P
    assert imported(tmp_path / "home", file) == expected
    assert [entry.name for entry in (tmp_path / "home").iterdir() if entry.is_dir()] == [
        f"pi-{len(expected)}"
    ]


@pytest.mark.parametrize("constant", list(CONSTANTS))
def test_other_constants(tmp_path, file, constant):
    text = compute_digits(tmp_path / "computed", 500, constant).path.read_text()
    whole = CONSTANTS[constant].integer_part
    for number, beginning in enumerate((f"{whole}.", f"{whole}", "")):
        file.write_text(beginning + text)
        assert imported(tmp_path / f"home{number}", file, constant=constant) == text


def zipped(text: bytes, method: int = zipfile.ZIP_DEFLATED, name: str = "../../pi.txt") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(name, text)
        archive.writestr("__MACOSX/._pi.txt", b"rubbish")
        archive.writestr("empty/", b"")
    return buffer.getvalue()


TEXT = ("3." + PI).encode()
HALF = len(TEXT) // 2
PACKED = {
    "gz": gzip.compress(TEXT),
    "gz, two members and padding": gzip.compress(TEXT[:HALF])
    + gzip.compress(TEXT[HALF:])
    + b"\0" * 9,
    "bz2": bz2.compress(TEXT),
    "bz2, two streams": bz2.compress(TEXT[:HALF]) + bz2.compress(TEXT[HALF:]),
    "xz": lzma.compress(TEXT),
    "xz, two streams": lzma.compress(TEXT[:HALF]) + lzma.compress(TEXT[HALF:]),
    "zst": zstd.compress(TEXT),
    "zst, two frames": zstd.compress(TEXT[:HALF]) + zstd.compress(TEXT[HALF:]),
    "zip": zipped(TEXT),
    "zip, stored": zipped(TEXT, zipfile.ZIP_STORED),
}


@pytest.mark.parametrize("kind", list(PACKED))
@pytest.mark.parametrize("chunk", [1000, 1 << 18])
def test_containers(tmp_path, file, monkeypatch, kind, chunk):
    monkeypatch.setattr(containers, "CHUNK", chunk)
    file.write_bytes(PACKED[kind])
    assert imported(tmp_path / "home", file) == PI
    assert not (tmp_path.parent / "pi.txt").exists()


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst", "zip"])
@pytest.mark.parametrize("keep", [0.3, 0.9, -1])
def test_cut_containers(tmp_path, file, kind, keep):
    packed = PACKED[kind]
    file.write_bytes(packed[: int(keep * len(packed)) if keep > 0 else keep])
    with pytest.raises(SourceError, match=r"source\.txt (ends in the middle|is damaged)"):
        import_digits(tmp_path / "home", file)
    assert list_stores(tmp_path / "home") == []


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_rubbish_after_the_end(tmp_path, file, kind):
    file.write_bytes(PACKED[kind] + b"rubbish")
    with pytest.raises(SourceError, match="b'rubbish' after the end"):
        import_digits(tmp_path / "home", file)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zip"])
def test_a_flipped_byte_is_found(tmp_path, file, kind):
    packed = bytearray(PACKED[kind])
    packed[len(packed) // 2] ^= 0x10
    file.write_bytes(packed)
    with pytest.raises(SourceError, match=r"source\.txt"):
        import_digits(tmp_path / "home", file)


def test_zip_with_two_files(tmp_path, file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("pi.txt", TEXT)
        archive.writestr("e.txt", TEXT)
    with pytest.raises(SourceError, match=r"2 files \('pi\.txt', 'e\.txt'\); exactly one"):
        import_digits(tmp_path / "home", file)


def test_many_empty_streams(tmp_path, file):
    file.write_bytes(gzip.compress(b"") * 200)
    with pytest.raises(SourceError, match="more than 100 compressed streams of nothing"):
        import_digits(tmp_path / "home", file)


def test_a_bomb_of_white_space(tmp_path, file):
    file.write_bytes(gzip.compress(b"3." + P.encode() + b" " * 20_000_000))
    with pytest.raises(SourceError, match="only 2000 decimals in the first"):
        import_digits(tmp_path / "home", file)


def test_unpacking_stops_before_the_disk_is_full(tmp_path, file, monkeypatch):
    file.write_bytes(PACKED["gz"])
    monkeypatch.setattr(sources, "_REPORT", 1000)
    monkeypatch.setattr(sources, "free_disk", lambda folder: 10**8)
    with pytest.raises(ResourceError, match="leaves 100 MB of disk"):
        import_digits(tmp_path / "home", file)


def at(position: int, value: str, text: str = "3." + P) -> str:
    """The text with a value put at a 1-based byte position."""
    return text[: position - 1] + value + text[position - 1 + len(value) :]


REFUSED = {
    "hexadecimal": (at(1000, "a"), "byte 1000 is 'a'.*hexadecimal"),
    "letter": (at(1001, "x"), r"byte 1001 is 'x'; allowed are the digits 0-9 and white space$"),
    "nul": (at(90, "\0"), "byte 90 is 0x00"),
    "nul far in": (at(70_000, "\0", "3." + PI), "byte 70000 is 0x00"),
    "comma as separator": (at(500, ","), "byte 500 is ','"),
    "second point": (at(500, "."), "byte 500 is '.'"),
    "dots at the end": ("3." + P + "...", "byte 2003 is '.'"),
    "decimal comma": ("3," + P, "begins with '3,14159"),
    "other integer part": ("4." + P, "begins with '4.14159"),
    "wrong in the first fifty": (
        at(40, "7"),
        "first decimals are 1415926535.*; those of pi are 1415",
    ),
    "hexadecimal pi": ("3.243F6A8885A308D3" * 20, "begins with '3.243F6A88"),
    "sixteen-bit text": (("3." + P).encode("utf-16").decode("latin-1"), "byte 4 is 0x00"),
    "empty": ("", "begins with ''"),
    "too few": ("3." + PI[:83], "83 decimals; at least 84"),
    "text after": ("3." + P + "\n\nThe End", "is 'T'"),
    "text before without point": ("Some text\n" + P, "before what looks like decimals"),
    "two beginnings": (f"3.{P}\n3.{P}", r"byte 2004 is|byte 2005 is '\.'"),
    "long text before": ("word " * 1000 + "\n3." + P, "at most 4096"),
    "a stray number in groups": (
        "3.\n" + "\n".join(grouped(P)).replace("\n", " 77\n", 3),
        "a group of 2 digits among groups of 10",
    ),
    "page numbers": (
        "3.\n" + "\n".join([*grouped(P)[:9], "12", *grouped(P)[9:]]),
        "a group of 2 digits among groups of 10",
    ),
    "a line too long": (
        "\n".join([*textwrap.wrap(P, 50)[:9], P[450:501], *textwrap.wrap(P[501:], 50)]),
        "a group of 51 digits among groups of 50",
    ),
    "a line short of a group": (
        "\n".join(line[:43] if i == 3 else line for i, line in enumerate(grouped(P, 10, 5))),
        "a line of 40 digits among lines of 50",
    ),
    "wrong counter": (
        counted_at_end(P, " : {}").replace(": 1500", ": 1501"),
        "is 1501; the decimals counted give 1500",
    ),
    "missing line under a counter": (
        "\n".join(line for i, line in enumerate(counted_at_end(P).split("\n")) if i != 7),
        "is 900; the decimals counted give 800",
    ),
    "counter missing in the middle": (
        counted_at_end(P, " : {}").replace(" : 700\n", "\n"),
        "allowed are decimals and one counter",
    ),
    "letter among counters": (
        counted_at_end(P).replace("  :  700", "  :  7o0"),
        "is 'o'; allowed are.*one counter a line",
    ),
    "wrong counter at the start": (
        counted_at_start(P, 1, "{}: ").replace("501: ", "502: "),
        "is 502; the decimals counted give 501",
    ),
    "ycd": (
        "#Compressed Digit File\r\n\r\nFileVersion:\t1.1.0\r\n",
        r"header of a \.ycd file",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_refused(tmp_path, file, case):
    text, words = REFUSED[case]
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SourceError, match=words) as caught:
        import_digits(tmp_path / "home", file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert [entry.name for entry in (tmp_path / "home").iterdir() if entry.is_dir()] == []


def test_a_wrong_digit_in_a_known_size_is_refused(tmp_path, file):
    text = bytearray(compute_digits(tmp_path / "computed", 10**6).path.read_bytes())
    file.write_bytes(text + b"5")
    # one decimal more than a known size: the known beginning is compared all the same
    assert imported(tmp_path / "home", file, first=10**6) == text.decode()
    text[777_777] = 48 + (text[777_777] - 47) % 10
    file.write_bytes(text + b"5")
    with pytest.raises(
        SourceError, match=r"decimal hash of the first 1,000,000 is.*404089929205932130"
    ):
        import_digits(tmp_path / "other", file)


def test_first(tmp_path, file):
    file.write_text("3." + P)
    assert imported(tmp_path / "home", file, first=100) == P[:100]
    with pytest.raises(SourceError, match="2000 decimals; at least 2001 needed"):
        import_digits(tmp_path / "home", file, ImportOptions(first=2001))
    with pytest.raises(UsageError, match="83 decimals"):
        import_digits(tmp_path / "home", file, ImportOptions(first=83))


@pytest.mark.parametrize(
    ("text", "skip"), [("3." + P + "\n", 2), (P, 0), ("3" + P, 1), ("\ufeff3." + P, 5)]
)
def test_in_place(tmp_path, file, text, skip):
    file.write_text(text, encoding="utf-8", newline="")
    store = import_digits(tmp_path / "home", file, ImportOptions(in_place=True))
    assert store.open().tobytes().decode() == P
    assert (store.path, store.skip, store.n) == (file, skip, N)
    assert [entry.name for entry in store.folder.iterdir()] == ["manifest.json"]
    assert all(claim.ok for claim in check_store(store))
    with file.open("a") as more:
        more.write("1")
    with pytest.raises(StoreDamaged, match=r"source\.txt has .* bytes; .*put the file back"):
        store.open()


@pytest.mark.parametrize(
    ("name", "words"),
    [("lines", "line breaks"), ("counter at the end", "line breaks"), ("gz", r"packed \(gz\)")],
)
def test_in_place_needs_plain_text_without_breaks(tmp_path, file, name, words):
    file.write_bytes(PACKED[name] if name in PACKED else LAYOUTS[name].encode())
    with pytest.raises(SourceError, match=words):
        import_digits(tmp_path / "home", file, ImportOptions(in_place=True))


def test_a_store_that_is_there_is_kept(tmp_path, file):
    home = tmp_path / "home"
    file.write_text(P)
    first = import_digits(home, file)
    assert import_digits(home, file) == first
    file.write_text("3." + P[:-1] + str((int(P[-1]) + 1) % 10))
    with pytest.raises(SourceError, match=f"{first.summary.sha256}.*--replace"):
        import_digits(home, file)
    file.write_text("3." + P)
    replaced = import_digits(home, file, ImportOptions(replace=True, in_place=True))
    assert replaced.in_place
    assert [entry.name for entry in home.iterdir() if entry.is_dir()] == [f"pi-{N}"]


def own_source(kind: str, tmp_path: Path, decimals: Path) -> Path:
    """A store's own decimals, by another way to them."""
    other = tmp_path / "other.txt"
    if kind == "symlink":
        other.symlink_to(decimals)
    elif kind == "hard link":
        other.hardlink_to(decimals)
    elif kind == "linked home":
        (tmp_path / "link").symlink_to(decimals.parent.parent)
        return tmp_path / "link" / decimals.parent.name / decimals.name
    elif kind == "dots":
        return decimals.parent / ".." / decimals.parent.name / decimals.name
    else:
        return decimals
    return other


@pytest.mark.parametrize("kind", ["itself", "symlink", "hard link", "linked home", "dots"])
@pytest.mark.parametrize(
    "options", [{"in_place": True}, {"replace": True}, {"in_place": True, "replace": True},
                {"in_place": True, "replace": True, "first": 100}]
)  # fmt: skip
def test_a_stores_own_decimals_are_not_imported_over_it(tmp_path, kind, options):
    home = tmp_path / "home"
    store = compute_digits(home, N)
    path = own_source(kind, tmp_path, store.path)
    with pytest.raises(SourceError, match=f"is pilogo's own: it is in {store.folder}"):
        import_digits(home, path, ImportOptions(**options))
    assert store.path.read_text() == P
    assert [entry.name for entry in home.iterdir() if entry.is_dir()] == [f"pi-{N}"]
    assert import_digits(home, path) == store  # a copy is the store that is there


@pytest.mark.parametrize("folder", ["pi-import.wip", "pi-2000.wip", "pi-2000.old"])
def test_what_a_killed_run_left_is_not_a_source(tmp_path, folder):
    """The next run clears it before it reads anything."""
    left = tmp_path / folder / "decimals.txt"
    left.parent.mkdir()
    left.write_text(P)
    with pytest.raises(SourceError, match=f"it is in {left.parent}"):
        import_digits(tmp_path, left)
    assert left.read_text() == P


def test_a_store_of_another_home_can_be_imported(tmp_path):
    store = compute_digits(tmp_path / "other", N)
    assert import_digits(tmp_path / "home", store.path, ImportOptions(in_place=True)).n == N


def test_files_that_are_none(tmp_path):
    with pytest.raises(SourceError, match=r"nothing\.txt cannot be read: No such file"):
        import_digits(tmp_path / "home", tmp_path / "nothing.txt")
    with pytest.raises(SourceError, match=r"has no \.ycd files"):
        import_digits(tmp_path / "home", tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SourceError, match="not a regular file"):
            import_digits(tmp_path / "home", tmp_path / "pipe")


def test_progress_ends_at_the_end(tmp_path, file):
    file.write_text("3." + PI)
    steps = []
    import_digits(tmp_path / "home", file, progress=steps.append)
    assert list(dict.fromkeys(step.stage for step in steps)) == ["read", "check"]
    assert all(step.done <= step.total for step in steps)
    assert steps[-1].done == len(PI)


def read_text(pieces: list[bytes]) -> str:
    source = TextSource("x", "text", iter(pieces), lambda: 0, 0)
    blocks = DecimalReader(source, CONSTANTS["pi"]).blocks()
    return b"".join(block.tobytes() for block in blocks).decode()


@given(st.sampled_from(list(LAYOUTS)), st.lists(st.integers(0, 2600), max_size=6))
@settings(max_examples=60, deadline=None)
def test_layouts_do_not_depend_on_how_the_text_comes(layout, cuts):
    text = LAYOUTS[layout].encode()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
    assert read_text(pieces) == read_text([text])


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_bytes_put_into_the_text_are_refused_or_change_digits(position, junk):
    """Nothing but digits comes out, whatever goes in."""
    text = ("3." + P).encode()
    try:
        found = read_text([text[:position] + junk + text[position:]])
    except SourceError:
        return
    assert found.isdigit()
    assert len(found) <= N + len(junk)
