"""Arguments at and beyond their limits, paths of every kind, streams, a moved store (item 17)."""

import csv
import io
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from measured import some, write
from PIL import Image

import query.finder
import reference
from indexer.digits import find_store
from indexer.faiss_files import FaissIndex
from indexer.index_files import open_index
from indexer.packaged import data_file
from indexer.window import WINDOW
from program import PROGRAM, SMALL, Outcome, Tally, environment
from query.bitmap import format_digits, read_logo
from query.finder import Finder

LOGO = str(data_file("soundcloud.png"))
BITMAP = format_digits(read_logo(LOGO))
MOVED = 200_000  # decimals of the store that is moved
N = 500  # decimals that plain loops can rank


def ask(
    folder: Path, home: Path | str, *arguments: str | Path, given: bytes = b"", **more: str
) -> Outcome:
    """Run `pilogo ARGUMENTS` in a folder, with these bytes on standard input."""
    began = time.monotonic()
    done = subprocess.run(
        [PROGRAM, *arguments], input=given, capture_output=True, timeout=120, check=False,
        cwd=folder, env=environment(Path(home), **more),
    )  # fmt: skip
    texts = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    return Outcome(done.returncode, *texts, time.monotonic() - began)


def assert_refused(outcome: Outcome, code: int, sentence: str = "") -> None:
    """The exit code, one line that has the sentence in it, and no answer."""
    outcome.assert_clean()
    assert (outcome.code, outcome.out) == (code, ""), (outcome.code, outcome.out, outcome.err)
    assert outcome.err.count("\n") == 1, outcome.err
    assert sentence in outcome.err, outcome.err


def matches(outcome: Outcome) -> list[tuple[float, int]]:
    """(distance, start) of every match, from CSV."""
    assert outcome.code == 0, (outcome.code, outcome.err)
    rows = csv.DictReader(io.StringIO(outcome.out))
    return [(float(row["distance"]), int(row["offset"]) - 1) for row in rows]


@pytest.fixture(scope="module")
def text(small_home: Path) -> str:
    """The decimals of the small store."""
    return (small_home / f"pi-{SMALL}" / "decimals.txt").read_text()


# --- what is refused, and with which exit code ---------------------------------------------------

X4000 = "x" * 4000
DEEP, TOO_DEEP = "y/" * 1990, "y/" * 2500
# Words of a command; LOGO is a picture, HERE a folder with what `clutter` puts there.
REFUSED: dict[int, tuple[str, ...]] = {
    2: (
        "find LOGO --top 0", "find LOGO --top -1", "find LOGO --top 1e9", "find LOGO --top 1.5",
        "find LOGO --top x", "find LOGO --top=", "find LOGO --top 100001", "find LOGO --top 1e-1",
        "find LOGO --missed 0", "find LOGO --missed -1", "find LOGO --missed NaN",
        "find LOGO --missed inf", "find LOGO --missed x", "find LOGO --missed=",
        "find LOGO --digits 0", "find LOGO --digits 83", "find LOGO --digits -84",
        "find LOGO --digits 1e99", "find LOGO --digits 84.5",
        "find LOGO --digits 5_0_0", "find LOGO --digits 1e15.0",
        "find LOGO --digits ⁸⁴", "find LOGO --digits=", "find LOGO --digits 99999999999999999999",
        "find LOGO --threads 0", "find LOGO --threads -1", "find LOGO --threads 1e9",
        "find LOGO --threads 1000000000", "find LOGO --threads 1.5",
        "find LOGO --metric l3", "find LOGO --metric L1", "find LOGO --metric=",
        "find LOGO --constant tau", "find LOGO --fit fill", "find LOGO --format xml",
        "find LOGO --no-such-option", "find -x.png", "find", "fnd LOGO", "digits find",
        "bitmap", "bitmap LOGO LOGO", "digits compute", "digits compute 83", "digits compute 1e99",
        "digits compute 84 85", "build --digits 83", "verify --logos 0",
        "odds LOGO --distance NaN", "odds LOGO --distance x",
        "find LOGO --sheet HERE", "find LOGO --sheet HERE/folder.png", "find LOGO --sheet=",
        "find LOGO --sheet HERE/missing/a.png", "find LOGO --sheet HERE/digits.txt/a.png",
        "find LOGO --sheet HERE/a", "find LOGO --sheet HERE/a.jpg", "find LOGO --sheet -",
        "find HERE/in.png --sheet HERE/in.png", "find HERE/in.png --sheet HERE/link.png",
        "find HERE/in.png LOGO --sheet HERE/folder.png/../in.png",
        "find LOGO --sheet HERE/loop.png",
        f"find LOGO --sheet {X4000}.png", f"find LOGO --sheet {DEEP}a.png",
        f"find LOGO --sheet {TOO_DEEP}a.png", f"odds LOGO --plot {X4000}.png",
        "odds LOGO --plot HERE", "odds LOGO --plot LOGO",
        "find LOGO --home=", "find LOGO --home HERE/digits.txt", "build --home HERE/digits.txt",
    ),
    3: (
        "find LOGO --costs HERE/missing.csv", "find LOGO --costs HERE", "find LOGO --costs=",
        "find LOGO --costs /dev/zero", "find LOGO --costs HERE/loop.png",
        "find HERE/loop.png --sheet HERE/a.png",
        "find LOGO --costs HERE/digits.txt", "find LOGO --costs LOGO",
        f"find LOGO --costs {X4000}", f"find LOGO --costs {DEEP}a",
        f"find LOGO --costs {TOO_DEEP}a",
        "find HERE/missing.png", "find 314159", f"find {'1' * 83}", f"find {'1' * 85}",
        f"find {'1' * 4000}", f"find {X4000}", f"find {DEEP}a", f"find {TOO_DEEP}a", "find -",
        "find HERE", "bitmap HERE/missing.png", "bitmap -", "odds HERE/missing.png",
        "digits import HERE/missing.txt", "digits import HERE",
    ),
    4: (
        "find LOGO --digits 1e8", "find LOGO --digits 1e15", "find LOGO --constant e --digits 1e8",
        "find LOGO --digits 1e8 --home HERE/dangling", "find LOGO --digits 1e8 --home HERE/missing",
        "find LOGO --digits 1e8 --home HERE/loop.png", "find LOGO --digits 1e8 --home /dev/null",
        "find LOGO --digits 1e8 --home HERE/digits.txt/home",
        "find LOGO --digits 1e8 --home ~nosuchuser/home",
        f"find LOGO --digits 1e8 --home {X4000}", f"find LOGO --digits 1e8 --home {DEEP}",
        f"find LOGO --digits 1e8 --home {TOO_DEEP}", "verify --home HERE/missing",
        "check --home HERE/missing", "digits check --home HERE/missing",
        "digits check --digits 1e9",
    ),
}  # fmt: skip
# What the line must say beside the ordinary: whose fault a path is.
NAMED = {"--home": "home", "--sheet": "--sheet", "--plot": "--plot"}


def clutter(folder: Path) -> None:
    write(folder, "digits.txt", b"1" * WINDOW)
    write(folder, "in.png", Path(LOGO).read_bytes())
    (folder / "folder.png").mkdir()
    (folder / "link.png").symlink_to("in.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "dangling").symlink_to("nothing")


def test_what_cannot_work_is_refused(
    full: bool, tally: Callable[[int], Tally], small_home: Path, tmp_path: Path
) -> None:
    clutter(tmp_path)
    row = tally(17)
    every = [(code, words) for code, commands in REFUSED.items() for words in commands]
    for code, words in some(every, full, 7):
        with row.case(f"exit code {code}: {words:.200}"):
            arguments = [
                word.replace("LOGO", LOGO).replace("HERE", str(tmp_path)) for word in words.split()
            ]
            named = [name for option, name in NAMED.items() if option in words]
            assert_refused(ask(tmp_path, small_home, *arguments), code, *named[:1])
    made = {path.name for path in small_home.iterdir() if path.suffix != ".lock"}
    assert made == {f"pi-{SMALL}"}


def test_an_unusable_home_in_the_environment_is_refused(
    full: bool, tally: Callable[[int], Tally], tmp_path: Path
) -> None:
    clutter(tmp_path)
    row = tally(17)
    homes = (("digits.txt", 2), ("dangling", 4), ("loop.png", 4), (X4000, 4))
    for home, code in some(homes, full, 1):
        with row.case(f"PILOGO_HOME={home:.20}"):
            outcome = ask(tmp_path, home, "find", LOGO, "--digits", "1e8")
            assert_refused(outcome, code, "home" if code == 2 else "")


# --- what is odd and right -----------------------------------------------------------------------

PLAIN = [[abs(digit - int(shade)) for digit in range(10)] for shade in BITMAP]
SQUARES = [[cost**2 for cost in costs] for costs in PLAIN]
# Options, decimals, costs, how many matches.
RIGHT: tuple[tuple[str, int, list[list[int]], int], ...] = (
    ("--digits 84", 84, PLAIN, 1),
    ("--digits 85", 85, PLAIN, 2),
    ("--digits 8.4e1 --top 100000", 84, PLAIN, 1),
    ("--digits 500 --top 100000", N, PLAIN, N - 83),
    ("--digits 500 --top 1", N, PLAIN, 1),
    ("--digits 500 --top 1e1", N, PLAIN, 10),
    ("--digits 500 --top 3 --top 4", N, PLAIN, 4),
    ("--digits 0.5e3 --missed 2", N, PLAIN, 10),
    ("--digits 500 --missed 1e300", N, PLAIN, 10),
    ("--digits 500 --missed 1e-320", N, PLAIN, 10),
    ("--digits 500 --threads 1024", N, PLAIN, 10),
    ("--digits 500 --threads 1 --exact", N, PLAIN, 10),
    ("--digits 500 --metric l2", N, SQUARES, 10),
    ("--digits 84 --threads 1024 --metric l2", 84, SQUARES, 1),
)


def test_limits_that_are_allowed_give_the_right_answer(
    full: bool, tally: Callable[[int], Tally], small_home: Path, tmp_path: Path, text: str
) -> None:
    row = tally(17)
    for options, n, costs, count in some(RIGHT, full, 2):
        with row.case(options):
            outcome = ask(tmp_path, small_home, "find", LOGO, "--format", "csv", *options.split())
            truth = reference.ranking(text[:n], costs)[:count]
            assert len(truth) == count
            assert matches(outcome) == truth


def test_a_store_of_84_decimals_has_one_window(
    full: bool, tally: Callable[[int], Tally], tmp_path: Path, text: str
) -> None:
    row = tally(17)
    truth = [(reference.distance(text, 0, PLAIN), 0)]
    home = tmp_path / "home"
    with row.case("a store of 84 decimals"):
        assert ask(tmp_path, home, "digits", "compute", "84").code == 0
        assert matches(ask(tmp_path, home, "find", LOGO, "--format", "csv")) == truth
    if full:
        with row.case("an index of one window"):
            assert ask(tmp_path, home, "build", "--digits", "84").code == 0
            assert matches(ask(tmp_path, home, "find", LOGO, "--format", "csv")) == truth
            assert ask(tmp_path, home, "check", "--deep").code == 0


def table(cell: str = "1", *, rows: int = WINDOW, columns: int = 10) -> bytes:
    """A costs file of ones, the last number of its fourth row another."""
    lines = [",".join(["1"] * columns) for _ in range(rows)]
    lines[3] = ",".join(["1"] * (columns - 1) + [cell])
    return "\n".join(lines).encode()


BAD_COSTS: dict[str, bytes] = {
    "empty": b"",
    "83 rows": table(rows=83),
    "85 rows": table(rows=85),
    "9 columns": table(columns=9),
    "11 columns": table(columns=11),
    "comments alone": b"# costs\n" * WINDOW,
    "zeros": bytes(1000),
    "bytes": bytes(range(256)) * 40,
    "UTF-16": table().decode().encode("utf-16"),
    "more than 1 MiB": b"1," * (1 << 20),
    "200,000 digits": table("1" * 200_000),
    **{
        f"the number {cell[:20]!r}": table(cell)
        for cell in ("x", "", "nan", "-inf", "sNaN123", "10000001", "-10000000.1", "1e400", "0x10",
                     "1e-7", "1e999999999", "-1e999999999", "1e-999999999", "0." + "0" * 5000 + "1",
                     "999999.999999", "1,", "1;1", "1 1")
    },
}  # fmt: skip
GOOD_COSTS: dict[str, tuple[bytes, int]] = {
    "plain": (table(), 1),
    "largest": (table("10000000"), 10**7),
    "least": (table("-10000000"), -(10**7)),
    "exponents": (table("1e7"), 10**7),
    "BOM, CRLF, comments": (
        b"\xef\xbb\xbf# costs\r\n\r\n" + table("5").replace(b"\n", b"\r\n"),
        5,
    ),
}


def test_costs_files_are_read_or_refused(
    full: bool, tally: Callable[[int], Tally], small_home: Path, tmp_path: Path, text: str
) -> None:
    row = tally(17)
    command = ("find", LOGO, "--costs", "costs.csv", "--digits", str(N), "--format", "csv")
    for label, content in some(BAD_COSTS.items(), full, 2):
        with row.case(f"costs: {label}"):
            write(tmp_path, "costs.csv", content)
            assert_refused(ask(tmp_path, small_home, *command), 3, "costs.csv")
    for label, (content, cost) in some(GOOD_COSTS.items(), full, 1):
        with row.case(f"costs: {label}"):
            write(tmp_path, "costs.csv", content)
            costs = [[1] * 10 for _ in range(WINDOW)]
            costs[3][9] = cost
            truth = reference.ranking(text[:N], costs)[:10]
            assert matches(ask(tmp_path, small_home, *command)) == truth


# --- paths ---------------------------------------------------------------------------------------

NAMES = (
    "with blanks ",
    "quotes'\"`",
    "new\nline",
    "\x1b[2J",
    "é ß 漢字 🥧",
    os.fsdecode(b"no \xff\xfe UTF-8"),
    "-x",
    "~",
    "$HOME %s {} *",
    "1" * WINDOW,
    "n" * 240,
    "n" * 251,
)


def test_paths_of_every_kind_work(
    full: bool, tally: Callable[[int], Tally], small_home: Path, tmp_path: Path, text: str
) -> None:
    """Logo, costs, sheet and home, all of one name; not the folder that ~ stands for."""
    row = tally(17)
    truth = reference.ranking(text[:N], SQUARES)[:10]
    squares = "\n".join(",".join(map(str, costs)) for costs in SQUARES).encode()
    for name in some(NAMES, full, 1):
        with row.case(f"a name like {name[:20]!a}"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / name).symlink_to(small_home)
            logo = write(folder, f"{name[:250]}.in", Path(LOGO).read_bytes()).name
            costs = write(folder, f"{name[:249]}.csv", squares).name
            outcome = ask(
                folder, "nowhere", "find", "--home", f"./{name}", "--sheet", f"{name}.png",
                "--costs", costs, "--digits", str(N), "--format", "csv", "--", logo,
                HOME=str(tmp_path / "nobody"),
            )  # fmt: skip
            assert matches(outcome) == truth
            assert outcome.err.count("\n") == 1, outcome.err
            assert outcome.err.rstrip("\n").isprintable(), outcome.err
            with Image.open(folder / f"{name}.png") as sheet:
                assert sheet.format == "PNG"
            assert len(list(folder.iterdir())) == 4


def test_homes_of_every_kind_work(
    full: bool, tally: Callable[[int], Tally], tmp_path: Path, text: str
) -> None:
    row = tally(17)
    truth = [(reference.distance(text, 0, PLAIN), 0)]
    deep = "/".join(["d" * 200] * 16)
    homes = ("relative/home", "../sideways", "a home é\n'\"", "~/in tilde", deep)
    for number, home in enumerate(some(homes, full, 1)):
        with row.case(f"home {home[:20]!r}"):
            folder = tmp_path / f"{number}"
            folder.mkdir()
            place = Path(str(home).replace("~", str(tmp_path)))
            made = ask(folder, home, "digits", "compute", "84", HOME=str(tmp_path))
            assert made.code == 0, made.err
            assert (folder / place / "pi-84" / "decimals.txt").read_text() == text[:84]
            for environ, options in ((home, ()), ("nowhere", ("--home", home))):
                outcome = ask(
                    folder, environ, "find", LOGO, "--format", "csv", *options, HOME=str(tmp_path)
                )
                assert matches(outcome) == truth


def test_a_moved_store_answers_as_before(
    full: bool,
    tally: Callable[[int], Tally],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From its index too, as read by us and by FAISS."""
    home, elsewhere = tmp_path / "home", tmp_path / "else where" / "é"
    for command in ("digits compute 2e5", "build --digits 2e5"):
        made = ask(tmp_path, home, *command.split())
        assert made.code == 0, made.err
    row = tally(17)
    with row.case("a moved store"):
        before = ask(tmp_path, home, "find", LOGO, "--format", "csv")
        elsewhere.parent.mkdir()
        home.rename(elsewhere)
        after = ask(tmp_path, elsewhere, "find", LOGO, "--format", "csv")
        assert len(matches(before)) == 10
        assert after == Outcome(0, before.out, before.err, after.seconds)
        deep = ("--deep",) if full else ()
        assert ask(tmp_path, elsewhere, "check", *deep).code == 0
    with row.case("the index of a moved store"):
        monkeypatch.setattr(query.finder, "expected_seconds", lambda *_: 10.0)
        finder = Finder(elsewhere, threads=2)
        logo = read_logo(LOGO)
        answer = finder.find(logo, missed=1e-3)
        assert answer.mode == "index"
        assert answer.matches == finder.find(logo, exact=True).matches
    with row.case("the index of a moved store, opened by FAISS"):
        store = find_store(elsewhere, "pi", MOVED)
        assert store is not None
        index = open_index(store)
        theirs = FaissIndex(index.folder)
        assert theirs.n_windows == MOVED - 83
        starts = [theirs.read_list(cell)[1] for cell in range(len(index.directory))]
        assert np.array_equal(np.sort(np.concatenate(starts)), np.arange(MOVED - 83))


# --- standard input ------------------------------------------------------------------------------

BAD_LINES: dict[str, bytes] = {
    "no UTF-8": b"\xff\xfe" * 42,
    "NUL": b"0" * 40 + b"\0" + b"0" * 43,
    "10 MB of digits": b"7" * 10_000_000,
    "10 MB of letters": b"x" * 10_000_000,
    "10 MB of blanks, then digits": b" " * 10_000_000 + b"1" * WINDOW,
    "digits, then 10 MB of blanks, then one more": b"1" * WINDOW + b" " * 10_000_000 + b"1",
    "83 digits": b"1" * 83,
    "85 digits": b"1" * 85,
    "other digits": "٣".encode() * WINDOW,
    "escape codes": b"\x1b[2J" + b"1" * WINDOW,
    "a minus": b"-" + b"1" * WINDOW,
    "a number": b"nan",
}


def test_bad_lines_between_good_ones_are_told(
    full: bool, tally: Callable[[int], Tally], small_home: Path, tmp_path: Path, text: str
) -> None:
    row = tally(17)
    bad = some(BAD_LINES.items(), full, 6)
    good = BITMAP.encode()
    given = b"".join(line + b"\n" + good + b"\r\n" for _, line in bad) + b"\n \n" + good
    outcome = ask(
        tmp_path, small_home, "find", "-", "--digits", str(N), "--top", "3", "--format", "csv",
        given=given,
    )  # fmt: skip
    truth = reference.ranking(text[:N], PLAIN)[:3]
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    told = outcome.err.splitlines()
    for number, (label, _) in enumerate(bad):
        with row.case(f"standard input: {label}"):
            ours = [line for line in told if f"standard input line {2 * number + 1}:" in line]
            assert len(ours) == 1, told
            assert len(ours[0]) < 300
            assert ours[0].isprintable()
    with row.case("standard input: the good lines"):
        assert outcome.code == 3
        assert len(told) == len(bad)
        numbers = [*range(2, 2 * len(bad) + 1, 2), 2 * len(bad) + 3]
        found = {
            number: [
                (float(row["distance"]), int(row["offset"]) - 1)
                for row in rows
                if row["logo"] == f"-:{number}"
            ]
            for number in numbers
        }
        assert found == dict.fromkeys(numbers, truth)
        assert len(rows) == 3 * len(numbers)


def test_empty_input_is_refused(
    full: bool, tally: Callable[[int], Tally], small_home: Path, tmp_path: Path
) -> None:
    row = tally(17)
    given = {"nothing": b"", "blank lines": b"\n \r\n\t\n", "a picture": Path(LOGO).read_bytes()}
    for label, content in some(given.items(), full, 1):
        with row.case(f"standard input: {label}"):
            outcome = ask(tmp_path, small_home, "find", "-", given=content)
            assert_refused(outcome, 3, "standard input is ")
