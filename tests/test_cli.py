"""The command line as a person or a script meets it: real processes, real decimals."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from query.cli import cli

ROOT = Path(__file__).parent.parent
LOGO = str(ROOT / "data" / "soundcloud.png")
COMMAND = [sys.executable, "-c", "from query.entry import main; main()"]


def environment(home, **more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PILOGO", "NO_COLOR"))}
    return {**kept, "PILOGO_HOME": str(home), **more}


def pilogo(*arguments, home, stdin="", **more):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment(home, **more),
        timeout=120,
    )


def test_a_damaged_index_is_one_line_for_a_stream_too_and_exact_does_without(
    indexed_home, tmp_path
):
    home = tmp_path / "home"
    shutil.copytree(indexed_home, home)
    with (next(home.glob("pi-*/index")) / "coder.npz").open("ab") as file:
        file.write(b"x")
    result = pilogo("find", "-", home=home, stdin="7" * 84 + "\n")
    assert result.returncode == 4
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "coder.npz has" in result.stderr
    assert "next: pilogo build --digits 1e7" in result.stderr
    assert pilogo("find", "-", "--exact", home=home, stdin="7" * 84 + "\n").returncode == 0


def commands(group=cli, path=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        yield (*path, name), command


@pytest.mark.parametrize(
    ("path", "command"), list(commands()), ids=lambda v: " ".join(v) if isinstance(v, tuple) else ""
)
def test_every_command_has_help_with_examples_and_is_in_the_readme(path, command):
    assert command.help
    assert "Examples:" in command.help
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or parameter.help, parameter.name
    assert f"pilogo {' '.join(path)}" in (ROOT / "README.md").read_text()
    for flag in ("-h", "--help"):
        assert CliRunner().invoke(cli, [*path, flag]).exit_code == 0


def test_find_as_json_is_the_contract(home, contest):
    result = pilogo("find", LOGO, "--format", "json", home=home)
    assert result.returncode == 0
    assert result.stderr == ""
    answer = json.loads(result.stdout)
    assert list(answer) == [
        "logo", "bitmap", "metric", "constant", "digits", "mode", "certified", "expected_missed",
        "seconds", "matches",
    ]  # fmt: skip
    assert answer["bitmap"] == contest["bitmap"]
    assert (answer["digits"], answer["mode"], answer["certified"]) == (10**7, "scan", True)
    expected = contest["top_ten_first_1e7_digits"]["l1"]
    assert [(m["offset"], m["distance"]) for m in answer["matches"]] == [
        (m["offset"], m["distance"]) for m in expected
    ]
    assert list(answer["matches"][0]) == ["rank", "offset", "distance", "expected", "sequence"]


def test_find_prints_a_table_into_a_pipe_without_colours(home):
    result = pilogo("find", LOGO, home=home)
    assert "\x1b" not in result.stdout
    assert "1062780" in result.stdout
    assert "certified" in result.stdout


def test_find_many_logos_as_csv_with_one_header(home, contest):
    result = pilogo("find", LOGO, "7" * 84, "--format", "csv", "--top", 2, home=home)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(row["logo"], row["rank"]) for row in rows] == [
        (LOGO, "1"), (LOGO, "2"), ("7" * 84, "1"), ("7" * 84, "2"),
    ]  # fmt: skip
    assert int(rows[0]["offset"]) == contest["top_ten_first_1e7_digits"]["l1"][0]["offset"]


def test_many_logos_with_exact_are_answered_in_their_order(home):
    """Scanned together; one that cannot be read is left out."""
    logos = [str(number % 10) * 84 for number in range(11)]
    asked = [*logos[:4], "123", *logos[4:]]
    one_by_one = [
        pilogo("find", logo, "--exact", "--format", "json", "--top", 2, home=home).stdout
        for logo in (logos[0], logos[-1])
    ]
    result = pilogo("find", *asked, "--exact", "--format", "json", "--top", 2, home=home)
    assert result.returncode == 3
    assert "123" in result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["logo"] for answer in answers] == logos
    for answer, line in zip((answers[0], answers[-1]), one_by_one, strict=True):
        assert {**answer, "seconds": 0} == {**json.loads(line), "seconds": 0}


def test_a_bad_logo_is_reported_the_others_are_answered(home):
    result = pilogo("find", "missing.png", LOGO, "123", "--format", "json", "--top", 1, home=home)
    assert result.returncode == 3
    assert len(result.stdout.splitlines()) == 1
    errors = result.stderr.splitlines()
    assert len(errors) == 2
    assert errors[0].startswith("pilogo: missing.png")
    assert "123" in errors[1]


def test_standard_input_is_answered_line_by_line(home):
    process = subprocess.Popen(
        [*COMMAND, "find", "-", "--format", "json", "--top", "1", "--digits", "100000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(home),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for digit in "05":
        process.stdin.write(digit * 84 + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())  # before the input ends
        assert answer["bitmap"] == digit * 84
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()


def test_a_bad_line_names_its_number_and_the_rest_is_answered(home):
    stdin = "1" * 84 + "\n\nhello\n" + "9" * 200_000 + "\n" + "2" * 84 + "\n"
    result = pilogo("find", "-", "--format", "json", "--digits", 1000, home=home, stdin=stdin)
    assert result.returncode == 3
    assert [json.loads(line)["bitmap"][0] for line in result.stdout.splitlines()] == ["1", "2"]
    assert "standard input line 3" in result.stderr
    assert "standard input line 4" in result.stderr
    assert len(result.stderr.splitlines()) == 2


def test_empty_standard_input_is_an_error(home):
    result = pilogo("find", "-", home=home)
    assert result.returncode == 3
    assert "standard input is empty" in result.stderr


def test_a_picture_on_standard_input_is_named_once(home):
    with Path(LOGO).open("rb") as file:
        result = subprocess.run(
            [*COMMAND, "find", "-"],
            stdin=file,
            capture_output=True,
            check=False,
            cwd=ROOT,
            env=environment(home),
        )
    assert result.returncode == 3
    assert result.stderr.startswith(b"pilogo: standard input is a picture (PNG); - takes lines")
    assert result.stderr.count(b"\n") == 1


def test_bitmap_into_find(home, contest):
    digits = pilogo("bitmap", LOGO, home=home).stdout
    assert digits.strip() == contest["bitmap"]
    result = pilogo("find", "-", "--format", "json", home=home, stdin=digits)
    assert json.loads(result.stdout)["bitmap"] == contest["bitmap"]
    as_json = pilogo("bitmap", LOGO, "--invert", "--format", "json", home=home).stdout
    assert json.loads(as_json)["bitmap"] == "".join(str(9 - int(c)) for c in contest["bitmap"])
    as_csv = pilogo("bitmap", LOGO, "--format", "csv", home=home).stdout
    assert list(csv.DictReader(io.StringIO(as_csv))) == [
        {"logo": LOGO, "bitmap": contest["bitmap"]}
    ]


def test_options_apply_to_standard_input_too(home, contest):
    line = contest["bitmap"] + "\n"
    result = pilogo(
        "find", "-", "--invert", "--format", "json", "--digits", 500, home=home, stdin=line
    )
    assert json.loads(result.stdout)["bitmap"][0] == "9"


def test_costs_file_gives_the_winners_order(home, contest, tmp_path, decimals):
    rows = []
    for letter in contest["winner"]["pattern"]:
        first, last, points = {"w": (0, 2, 5), "g": (3, 9, 1), "b": (6, 9, 1)}[letter]
        rows.append([0 if first <= d <= last else points for d in range(10)])
    (tmp_path / "winner.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    result = pilogo(
        "find", LOGO, "--costs", tmp_path / "winner.csv", "--format", "json", "--top", 3, home=home
    )
    answer = json.loads(result.stdout)
    assert answer["metric"] == "costs"
    for match in answer["matches"]:
        digits = decimals[match["offset"] - 1 : match["offset"] + 83] - 48
        assert match["distance"] == sum(row[d] for row, d in zip(rows, digits, strict=True))


def test_sheets_are_drawn_one_a_logo(home, tmp_path):
    sheet = tmp_path / "found.png"
    result = pilogo("find", LOGO, "3" * 84, "--sheet", sheet, "--top", 3, home=home)
    assert result.returncode == 0
    for path in (sheet, tmp_path / "found-2.png"):
        with Image.open(path) as image:
            assert image.width > 1000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["found-2.png", "found.png"]


def test_odds_as_table_json_csv_and_plot(home, tmp_path):
    table = pilogo("odds", LOGO, home=home)
    assert table.returncode == 0
    assert "198" in table.stdout  # the tenth best expected at 10^9
    answer = json.loads(
        pilogo("odds", LOGO, "--format", "json", "--distance", 150, home=home).stdout
    )
    assert answer["odds"][3]["tenth"] == 198
    assert any(row["distance"] == 150 for row in answer["needed"])
    rows = list(
        csv.DictReader(io.StringIO(pilogo("odds", LOGO, "--format", "csv", home=home).stdout))
    )
    assert any(row["tenth"] == "198" for row in rows)
    plot = tmp_path / "odds.png"
    assert pilogo("odds", LOGO, "--plot", plot, home=home).returncode == 0
    with Image.open(plot) as image:
        assert image.size == (1200, 750)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["find"], 2, "Missing argument"),
        (["find", LOGO, "--top", "0"], 2, "'0' is not allowed"),
        (["find", LOGO, "--top", "-1"], 2, "'-1' is not allowed"),
        (["find", LOGO, "--top", "1e9"], 2, "'1e9' is not allowed"),
        (["find", LOGO, "--digits", "83"], 2, "'83' is not allowed"),
        (["find", LOGO, "--digits", "0"], 2, "'0' is not allowed"),
        (["find", LOGO, "--missed", "0"], 2, "--missed"),
        (["find", LOGO, "--missed", "nan"], 2, "--missed"),
        (["find", LOGO, "--threads", "0"], 2, "--threads"),
        (["find", LOGO, "--metric", "cosine"], 2, "--metric"),
        (["find", LOGO, "--digits", "2e7"], 4, "pilogo digits compute 2e7"),
        (["find", LOGO, "--sheet", "no/such/folder/x.png"], 2, "there is no folder of that name"),
        (["find", LOGO, "--sheet", "x.jpg"], 2, "allowed are names in .png"),
        (["find", LOGO, "--sheet", LOGO], 2, "that is the logo itself"),
        (["odds", LOGO, "--plot", "x.jpg"], 2, "allowed are names in .png"),
        (["odds", LOGO, "--distance", "nan"], 2, "nan is no number"),
        (["odds", LOGO, "--distance", "1e400"], 2, "inf is no number"),
        (["digits", "compute", "12"], 2, "'12' is not allowed"),
        (["find", LOGO, "--costs", "none.csv"], 3, "none.csv is not a file"),
        (["find", "x" * 4000], 3, "pilogo: "),
        (["find", "."], 3, "pilogo: "),
        (["odds", LOGO, "--distance", "-5"], 2, "distance -5 is out of reach"),
        (["bitmap", LOGO, "--fit", "squash"], 2, "--fit"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_errors_are_one_line_with_the_right_code(home, arguments, code, message):
    result = pilogo(*arguments, home=home)
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("pilogo: ")
    assert len(result.stderr.splitlines()) == 1


def test_first_use_computes_the_default_and_says_so(tmp_path, contest):
    new = tmp_path / "new home π"
    result = pilogo("find", LOGO, "--format", "json", home=new)
    assert result.returncode == 0
    assert len(result.stderr.splitlines()) == 1
    assert "first use: making 10,000,000 decimals of pi and their index" in result.stderr
    first = json.loads(result.stdout)["matches"][0]
    assert first["offset"] == contest["top_ten_first_1e7_digits"]["l1"][0]["offset"]
    index = new / "pi-10000000" / "index"
    made = {path: path.stat().st_mtime_ns for path in index.rglob("*") if path.is_file()}
    assert {path.name for path in made} >= {"manifest.json", "coder.npz", "lists.bin"}
    assert not (new / "pi-10000000" / "index.wip").exists()
    again = pilogo("find", LOGO, "--format", "json", home=new)
    assert again.stderr == ""
    assert json.loads(again.stdout)["matches"] == json.loads(result.stdout)["matches"]
    assert made == {path: path.stat().st_mtime_ns for path in index.rglob("*") if path.is_file()}


def test_two_first_uses_at_once_both_answer(tmp_path):
    command = [*COMMAND, "find", LOGO, "--format", "json", "--top", "1"]
    processes = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(tmp_path),
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    first, second = (json.loads(stdout)["matches"] for stdout, _ in outputs)
    assert first == second
    assert any("is being made or indexed by process" in stderr for _, stderr in outputs)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "arguments",
    [
        ["find", LOGO],
        ["bitmap", LOGO],
        ["odds", LOGO],
        ["digits", "info"],
        ["-h"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_output_that_cannot_be_written_is_one_line(home, arguments):
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=ROOT,
            env=environment(home),
        )
    assert result.returncode == 4
    assert result.stderr == "pilogo: standard output: No space left on device\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_streams_that_are_closed(home, closed):
    command = " ".join(f"'{part}'" for part in [*COMMAND, "find", "-", "--digits", "1000"])
    result = subprocess.run(
        ["/bin/sh", "-c", f"echo {'1' * 84} | {command} {closed}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment(home),
    )
    assert "Traceback" not in result.stderr
    expected = {"<&-": (3, "standard input is empty"), ">&-": (4, "is closed"), "2>&-": (0, "")}
    assert result.returncode == expected[closed][0]
    assert expected[closed][1] in result.stderr


def test_bytes_that_are_no_digits_are_never_certified(home, tmp_path):
    store = tmp_path / "pi-10000000"
    store.mkdir()
    for name in ("manifest.json", "decimals.txt"):
        (store / name).write_bytes((home / "pi-10000000" / name).read_bytes())
    with (store / "decimals.txt").open("r+b") as file:
        file.seek(1_062_780 - 1)  # the best match of all
        file.write(b"\x92")  # the low nibble is that of the digit
    result = pilogo("find", LOGO, home=tmp_path)
    assert result.returncode == 4
    assert "byte 0x92 at offset 1062780 is no digit; next: pilogo digits check" in result.stderr


def test_a_damaged_store_is_not_a_first_use(tmp_path):
    store = tmp_path / "pi-1000000"
    store.mkdir()
    (store / "manifest.json").write_text("{}")
    result = pilogo("find", LOGO, home=tmp_path)
    assert result.returncode == 4
    assert "first use" not in result.stderr


def test_a_closed_pipe_is_no_error(home):
    process = subprocess.Popen(
        [*COMMAND, "find", "-", "--digits", "100000", "--format", "json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(home),
    )
    process.stdout.close()
    process.stdout = None
    _, stderr = process.communicate(("1" * 84 + "\n") * 50, timeout=60)
    assert process.returncode == 0
    assert stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_within_two_seconds_without_a_traceback(home, number, code):
    process = subprocess.Popen(
        [*COMMAND, "find", "-", "--format", "json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(home),
    )
    process.stdin.write("1" * 84 + "\n")
    process.stdin.flush()
    assert process.stdout.readline()
    process.send_signal(number)
    began = time.monotonic()
    _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - began < 2
    assert process.returncode == code
    assert "Traceback" not in stderr
