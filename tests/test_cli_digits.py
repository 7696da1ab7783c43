"""The commands of `pilogo digits`, run as a user runs them, and the shared options."""

import io
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from indexer import cli, meter
from indexer.cli import digits
from indexer.errors import ClaimFailed, ResourceError, SourceError, StoreDamaged, StoreMissing
from indexer.options import Count
from indexer.progress import Step

ROOT = Path(__file__).parent.parent


def run(*arguments: object, home: Path | None = None):
    environment = {"PILOGO_HOME": str(home)} if home else {}
    return CliRunner(env=environment).invoke(digits, [str(word) for word in arguments])


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    assert run("compute", 1000, home=home).exit_code == 0
    return home


def test_compute_says_the_cost_first_and_prints_the_folder(tmp_path):
    result = run("compute", "1e4", "--home", tmp_path, "--threads", 1, "--constant", "e")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'e-10000'}\n"
    first = result.stderr.splitlines()[0]
    assert first.startswith("10,000 decimals of e, 1 threads: about 1 s, 80 MB of memory")


def test_compute_twice(home):
    result = run("compute", 1000, home=home)
    assert result.exit_code == 0
    assert "is complete and kept" in result.stderr
    assert result.stdout == f"{home / 'pi-1000'}\n"
    assert "kept" not in run("compute", 1000, "--replace", home=home).stderr


@pytest.mark.parametrize("progress", ["--progress", "--no-progress"])
def test_import(home, tmp_path, progress):
    text = (home / "pi-1000" / "decimals.txt").read_text()
    file = tmp_path / "pi.txt"
    file.write_text("3." + text)
    result = run("import", file, "--first", 500, progress, home=home)
    assert result.exit_code == 0
    assert result.stdout == f"{home / 'pi-500'}\n"
    assert ("check     100 %" in result.stderr) == (progress == "--progress")
    in_place = run("import", file, "--in-place", "--replace", "--no-progress", home=home)
    assert in_place.stderr.splitlines() == [
        "1,000 decimals of pi: imported",
        (
            "known values cover the first 50 of 1,000 decimals; the rest is as the file has it: "
            "`pilogo digits check --digits 1000 --recompute` proves it"
        ),
    ]
    assert not (home / "pi-1000" / "decimals.txt").exists()


def test_import_of_what_is_there(home, tmp_path):
    file = tmp_path / "pi.txt"
    file.write_bytes((home / "pi-1000" / "decimals.txt").read_bytes())
    assert "is complete and kept" in run("import", file, home=home).stderr


def test_import_refuses(home, tmp_path):
    file = tmp_path / "pi.txt"
    file.write_text("3.14abc")
    assert isinstance(run("import", file, home=home).exception, SourceError)


def test_check(home):
    result = run("check", home=home)
    assert result.exit_code == 0
    assert "manifest: sha256" in result.stdout
    assert "999999" in result.stdout
    rows = json.loads(run("check", "--format", "json", "--digits", "1000", home=home).stdout)
    *claims, cover = rows
    assert {row["ok"] for row in claims} == {True}
    assert {(row["constant"], row["n"]) for row in rows} == {("pi", 1000)}
    assert all(row["expected"] == row["found"] for row in claims)
    assert (cover["claim"], cover["expected"], cover["found"], cover["ok"]) == (
        "known values cover", "all 1,000 decimals", "the first 50", None
    )  # fmt: skip
    assert "pi-1000: known values cover the first 50 of 1,000 decimals" in result.stderr


def test_booleans_in_csv_are_those_of_json(home):
    lines = run("check", "--format", "csv", home=home).stdout.splitlines()
    assert {line.rsplit(",", 1)[1] for line in lines[1:]} == {"true", ""}
    assert run("info", "--format", "csv", home=home).stdout.endswith(",true\n")


def changed_import(tmp_path, home, offset):
    """The store of 100,000 decimals imported with the one at an offset changed."""
    made = tmp_path / "made"
    assert run("compute", "1e5", "--home", made).exit_code == 0
    raw = bytearray((made / "pi-100000" / "decimals.txt").read_bytes())
    raw[offset - 1] = 48 + (raw[offset - 1] - 47) % 10
    (tmp_path / "pi.txt").write_bytes(raw)
    return run("import", tmp_path / "pi.txt", home=home)


def test_recomputing_finds_what_no_known_value_covers(tmp_path):
    home = tmp_path / "home"
    assert "cover the first 50 of 100,000" in changed_import(tmp_path, home, 50_001).stderr
    assert run("check", home=home).exit_code == 0
    result = run("check", "--recompute", "--threads", 1, home=home)
    assert result.stderr.startswith("computing 100,000 decimals of pi again, 1 threads: about 1 s")
    assert isinstance(result.exception, ClaimFailed)
    assert "1 of 6 claims fail" in str(result.exception)
    assert "pi-100000, recomputed: decimal hash is " in str(result.exception)
    assert str(result.exception).endswith("; next: pilogo digits compute 1e5 --replace")
    assert "cover" not in result.stdout + result.stderr


def test_recomputing_what_is_right(home):
    result = run("check", "--recompute", "--format", "json", home=home)
    rows = json.loads(result.stdout)
    assert {row["ok"] for row in rows} == {True}
    assert "recomputed: decimal hash" in [row["claim"] for row in rows]


def test_check_goes_on_after_a_store_that_cannot_be_read(home):
    for n in (200, 300, 400):
        assert run("compute", n, home=home).exit_code == 0
    (home / "pi-200" / "decimals.txt").unlink()
    (home / "pi-300" / "manifest.json").write_text("{}")
    (home / "pi-400" / "decimals.txt").write_text("141")
    for options in ([], ["--recompute"]):
        result = run("check", "--format", "json", *options, home=home)
        found = [(row["n"], row["claim"]) for row in json.loads(result.stdout) if not row["ok"]
                 and row["ok"] is not None]  # fmt: skip
        assert found == [(n, "readable") for n in (200, 300, 400)]
        assert {row["n"] for row in json.loads(result.stdout) if row["ok"]} == {1000}
        assert isinstance(result.exception, StoreDamaged)
        assert str(result.exception) == (
            "3 of 4 stores cannot be used: pi-200, pi-300, pi-400; "
            "next: pilogo digits compute 200 --replace"
        )
    table = run("check", "--digits", 400, home=home)
    assert "pi        400  readable  a complete store  a damaged one  NO" in table.stdout
    assert "has 3 bytes; the manifest says 400" in table.stderr
    assert isinstance(table.exception, StoreDamaged)


def test_the_command_named_for_a_damaged_store_mends_it(home):
    (home / "pi-1000" / "decimals.txt").unlink()
    words = str(run("check", home=home).exception).split("next: pilogo digits ")[1]
    assert run(*words.split(), home=home).exit_code == 0
    assert run("check", home=home).exit_code == 0


def test_check_of_a_constant_minds_only_its_stores(home):
    assert run("compute", 200, "--constant", "e", home=home).exit_code == 0
    (home / "e-200" / "manifest.json").write_text("{}")
    assert run("check", home=home).exit_code == 0
    error = run("check", "--constant", "e", home=home).exception
    assert isinstance(error, StoreDamaged)
    assert str(error).endswith("next: pilogo digits compute 200 --replace --constant e")


def test_check_fails_on_one_changed_digit(home):
    file = home / "pi-1000" / "decimals.txt"
    raw = bytearray(file.read_bytes())
    raw[500] = 48 + (raw[500] - 47) % 10
    file.write_bytes(raw)
    result = run("check", home=home)
    assert isinstance(result.exception, ClaimFailed)
    assert "3 of 5 claims fail" in str(result.exception)
    assert "NO" in result.stdout


def test_check_without_a_store(tmp_path):
    assert isinstance(run("check", home=tmp_path).exception, StoreMissing)


def test_check_does_not_pass_over_a_damaged_store(home):
    run("compute", 200, home=home)
    (home / "pi-200" / "manifest.json").write_text("{}")
    assert isinstance(run("check", home=home).exception, StoreDamaged)


def test_info(home):
    run("compute", 300, "--constant", "phi", home=home)
    rows = json.loads(run("info", "--format", "json", home=home).stdout)
    assert [(row["constant"], row["n"], row["bytes"]) for row in rows] == [
        ("phi", 300, 300),
        ("pi", 1000, 1000),
    ]
    assert rows[1]["path"] == str(home / "pi-1000" / "decimals.txt")
    assert rows[1]["how"] == "computed"
    assert run("info", "--format", "csv", home=home).stdout.startswith("constant,n,bytes,path,")
    assert "phi       300" in run("info", home=home).stdout


def test_info_names_damage_and_emptiness(home, tmp_path):
    for n in (200, 300, 400):
        assert run("compute", n, home=home).exit_code == 0
    (home / "pi-200" / "decimals.txt").unlink()
    (home / "pi-300" / "decimals.txt").write_text("141")
    (home / "pi-1000" / "manifest.json").write_text("{}")
    result = run("info", "--format", "json", home=home)
    rows = json.loads(result.stdout)
    assert [(row["n"], row["bytes"], row["ok"]) for row in rows] == [
        (200, 200, False),
        (300, 300, False),
        (400, 400, True),
        (1000, None, False),
    ]
    reasons = result.stderr.splitlines()
    assert [line.startswith("damaged: ") for line in reasons] == [True] * 3
    assert "pi-200/decimals.txt cannot be read: No such file" in reasons[0]
    assert "has 3 bytes; the manifest says 300" in reasons[1]
    assert "format is None" in reasons[2]
    assert isinstance(result.exception, StoreDamaged)
    assert "3 of 4 stores cannot be used: pi-200, pi-300, pi-1000" in str(result.exception)
    empty = run("info", home=tmp_path / "none")
    assert "next: pilogo digits compute 1e7" in empty.stderr
    assert run("info", "--format", "json", home=tmp_path / "none").stdout == "[]\n"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e9", 10**9),
        ("1E3", 1000),
        ("1e+4", 10_000),
        ("2.5e8", 250_000_000),
        ("1_000_000_000", 10**9),
        ("1,000,000", 10**6),
        ("1 000 000", 10**6),
        ("10**7", 10**7),
        ("10^7", 10**7),
        ("84", 84),
        ("1000.0", 1000),
    ],
)
def test_counts(text, number):
    assert Count().convert(text, None, None) == number


@pytest.mark.parametrize(
    "text",
    ["", "83", "-100", "1.5", "1e-3", "1e16", "1e99", "1,00", "1,0000", "_100", "0x64", "abc",
     "nan", "1e3e3", "١٠٠", "9" * 5000],
)  # fmt: skip
def test_counts_that_are_none(text):
    with pytest.raises(
        click.BadParameter, match="a whole number from 84 to 1,000,000,000,000,000"
    ) as e:
        Count().convert(text, None, None)
    assert repr(text[:40]) in str(e.value)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (99, "99 s"), (600, "10 minutes"), (7200, "2.0 hours"), (200_000, "2 days"),
     (17_621 * 3600, "2.0 years"), (86_400 * 300, "300 days")],
)  # fmt: skip
def test_durations(seconds, words):
    assert cli.duration(seconds) == words


def test_the_memory_announced_is_the_memory_missing(tmp_path):
    result = run("compute", "1e13", home=tmp_path)
    assert isinstance(result.exception, ResourceError)
    assert "80.0 TB of memory" in result.stderr
    assert "needs 80.0 TB of memory" in str(result.exception)
    assert "years" in result.stderr


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run("compute", 100, home="~/x").stdout == f"{tmp_path / 'x' / 'pi-100'}\n"
    assert run("compute", 100, "--home=~/y").stdout == f"{tmp_path / 'y' / 'pi-100'}\n"
    monkeypatch.chdir(tmp_path)
    empty = run("compute", 100, "--home", "")
    assert (empty.exit_code, "--home" in empty.stderr) == (2, True)
    assert "'' is no folder" in empty.stderr
    assert not (tmp_path / "pi-100").exists()
    (tmp_path / "file").write_text("")
    for result in (run("info", home=tmp_path / "file"), run("info", "--home", tmp_path / "file")):
        assert result.exit_code == 2
        assert "is a file; the home (--home or PILOGO_HOME) must be a folder" in result.stderr


def test_the_folder_is_printed_once(tmp_path):
    """Also on a terminal, where both streams are read."""
    file = tmp_path / "pi.txt"
    for again in (False, True):
        result = run("compute", 1000, home=tmp_path)
        assert result.output.count(f"{tmp_path / 'pi-1000'}") == 1, again
    file.write_bytes((tmp_path / "pi-1000" / "decimals.txt").read_bytes())
    for first in (1000, 500):
        result = run("import", file, "--first", first, home=tmp_path)
        assert result.output.count(f"{tmp_path / f'pi-{first}'}") == 1


def test_usage_errors_are_exit_code_2(tmp_path):
    for arguments in (
        ["compute", "1.5"],
        ["compute", "1e4", "--threads", "0"],
        ["check", "--digits", "x"],
    ):
        result = run(*arguments, home=tmp_path)
        assert result.exit_code == 2, arguments
        assert result.stdout == ""


@pytest.mark.parametrize("name", [None, *digits.commands])
def test_every_command_has_help_with_examples(name):
    result = run(*([name] if name else []), "-h")
    assert result.exit_code == 0
    assert "Examples:\n    pilogo digits " in result.stdout
    if name:
        command = digits.commands[name]
        assert command.get_short_help_str(80).rstrip(".") in result.stdout
        assert all(p.help for p in command.params if isinstance(p, click.Option))


class Terminal(io.StringIO):
    def isatty(self):
        return True


STEPS = [Step("series", 0, 100, "%"), *(Step("convert", k, 1000, "digits") for k in range(1000))]


def test_progress_on_a_terminal_is_one_line_taken_away(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with meter.draw_progress(True) as report:
        for step in STEPS:
            report(step)
    drawn = stream.getvalue()
    assert "\n" not in drawn
    assert "convert" in drawn
    assert drawn.count("\r") < 10  # a thousand steps, eight drawings a second
    assert drawn.endswith("\r\x1b[K")


def test_progress_elsewhere_is_few_plain_lines(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with meter.draw_progress(True) as report:
        for step in STEPS:
            report(step)
    assert stream.getvalue().splitlines() == ["series      0 %", "convert     0 %  0/1,000 digits"]


def test_progress_elsewhere_ends_at_the_end(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with meter.draw_progress(True) as report:
        for done in (0, 500, 1000, 1000):
            report(Step("check", done, 1000, "digits"))
    assert [line.split("%")[0].split()[1] for line in stream.getvalue().splitlines()] == [
        "0",
        "100",
    ]


def test_progress_says_rate_and_time_left(monkeypatch):
    stream = Terminal()
    now = [100.0]
    monkeypatch.setattr(meter.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys, "stderr", stream)
    with meter.draw_progress(True) as report:
        report(Step("convert", 0, 1000, "digits"))
        now[0] = 102.0
        report(Step("convert", 20, 1000, "digits"))
    assert "convert     2 %  20/1,000 digits  10/s  1:38 left" in stream.getvalue()


def test_progress_off_draws_nothing(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with meter.draw_progress(False) as report:
        report(STEPS[0])
    assert stream.getvalue() == ""


def test_progress_survives_a_closed_stream(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with meter.draw_progress(True) as report:
        stream.close()
        with pytest.raises(ValueError, match="closed"):
            stream.write("x")
        report(STEPS[0])


def test_help_imports_nothing_heavy():
    heavy = {"numpy", "flint", "PIL", "filelock"}
    code = f"import sys, indexer.cli; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"
    assert cli.digits.name == "digits"
