"""`pilogo verify` as a person or a script meets it: a real index of ten million decimals."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import query.finder
from indexer.compute import compute_digits
from indexer.corpus import held_out_logos
from query.entry import _run
from query.metrics import METRICS
from query.options import METRICS as OFFERED_METRICS
from query.options import MOST_MATCHES

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-c", "from query.entry import main; main()"]
N = 10**7


@pytest.fixture
def slow_scans(monkeypatch):
    """Scans as slow as with many decimals, so that the planner prefers the index."""
    monkeypatch.setattr(query.finder, "expected_seconds", lambda *_: 10.0)


def verify(home, *arguments, capsys):
    code = _run(["verify", "--home", str(home), "--threads", "2", *map(str, arguments)])
    return code, *capsys.readouterr()


@pytest.mark.usefixtures("slow_scans")
def test_the_index_keeps_its_promises(indexed_home, tmp_path, capsys):
    plot = tmp_path / "calibration.png"
    code, out, err = verify(
        indexed_home, "--logos", 30, "--format", "json", "--plot", plot, capsys=capsys
    )
    assert code == 0, err
    body = json.loads(out)
    assert (body["ok"], body["logos"], body["digits"], body["constant"]) == (True, 30, N, "pi")
    assert [(r["metric"], r["missed"]) for r in body["rows"]] == [
        (metric, missed) for metric in ("l1", "l2") for missed in (1, 0.1, 0.01)
    ]
    for record in body["rows"]:
        assert record["questions"] == 30
        assert 0 < record["expected"] <= 30 * record["missed"]
        assert 0 < record["windows_median"] < N
        assert record["index_ms_median"] > 0
        assert record["agreement_ok"]
    looked_at = [record["windows_median"] for record in body["rows"][:3]]
    assert looked_at == sorted(looked_at)
    assert [record["metric"] for record in body["totals"]] == ["all"] * 3
    with Image.open(plot) as image:
        assert image.size == (1200, 750)
    assert err.splitlines()[-1] == f"{plot}: 1200x750 pixels"


@pytest.mark.usefixtures("slow_scans")
def test_an_index_that_loses_a_share_of_its_matches_fails(indexed_home, monkeypatch, capsys):
    class Losing(query.finder.Finder):
        """Loses every fifth match of what its index finds."""

        def find(self, bitmap, **options):
            answer = super().find(bitmap, **options)
            if answer.mode == "scan":
                return answer
            kept = [m for m in answer.matches if m.offset % 5]
            return replace(answer, matches=tuple(kept))

    monkeypatch.setattr(query.finder, "Finder", Losing)
    asked = ("--logos", 20, "--metric", "l2", "--missed", 0.1)
    code, out, err = verify(indexed_home, *asked, capsys=capsys)
    assert code == 1
    assert "# calibration  FAILS" in out
    assert "# recall       FAILS" in out
    assert "# agreement    ok" in out
    assert len(err.splitlines()) == 1
    assert err.startswith("pilogo: 2 of 3 claims fail: calibration, l2 at 0.1: expected ")
    assert "; recall, l2 at 0.1: allowed 2 missed in 20 answers and saw " in err
    assert f"next: pilogo build --digits 1e7 --replace --home {indexed_home}" in err


@pytest.mark.usefixtures("slow_scans")
def test_misses_are_those_that_find_makes(indexed_home, capsys):
    """Counted again from the answers of `find` itself, for one logo that loses something."""
    finder = query.finder.Finder(indexed_home, threads=1)
    n_missed, expected = 0, 0.0
    for logo in held_out_logos()[:8]:
        bitmap = logo.reshape(6, 14)
        truth = {
            m.offset for m in finder.find(bitmap, metric="gray-l1", top=20, exact=True).matches
        }
        answer = finder.find(bitmap, metric="gray-l1", top=20, missed=8)
        n_missed += len(truth - {m.offset for m in answer.matches})
        expected += answer.expected_missed
    code, out, _ = verify(
        indexed_home, "--logos", 8, "--metric", "gray-l1", "--missed", 8, "--top", 20,
        "--format", "csv", capsys=capsys,
    )  # fmt: skip
    records = list(csv.DictReader(io.StringIO(out)))
    assert len(records) == 1
    assert code == 0
    assert int(records[0]["seen"]) == n_missed > 0
    assert float(records[0]["recall"]) == pytest.approx(1 - n_missed / 160)
    assert float(records[0]["expected"]) == pytest.approx(expected, rel=1e-3)


def test_the_planner_is_left_to_choose(indexed_home):
    asked = ["verify", "--logos", "2", "--missed", "0.001", "--metric", "l1", "--digits", "1e5"]
    result = subprocess.run(
        [*COMMAND, *asked],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=120,
        env={**os.environ, "PILOGO_HOME": str(indexed_home)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "2 held-out logos in the first 100,000 decimals of pi" in result.stdout
    assert "the planner preferred a scan every time" in result.stdout
    assert "# calibration  -" in result.stdout
    assert "# agreement    ok" in result.stdout


def test_no_index_says_what_to_do(tmp_path, capsys):
    compute_digits(tmp_path, 10_000)
    code, out, err = verify(tmp_path, capsys=capsys)
    assert (code, out) == (4, "")
    assert f"next: pilogo build --digits 1e4 --home {tmp_path}" in err


def test_no_store_says_what_to_do(tmp_path, capsys):
    code, _, err = verify(tmp_path, capsys=capsys)
    assert code == 4
    assert "next: pilogo" in err


def test_a_damaged_index_is_named(indexed_home, tmp_path, capsys):
    shutil.copytree(indexed_home, tmp_path, dirs_exist_ok=True)
    coder = tmp_path / f"pi-{N}" / "index" / "coder.npz"
    content = bytearray(coder.read_bytes())
    content[1000] ^= 1
    coder.write_bytes(content)
    code, _, err = verify(tmp_path, "--logos", 1, capsys=capsys)
    assert code == 4
    assert "coder.npz" in err


def test_more_logos_than_are_held_out_are_refused(indexed_home, capsys):
    most = len(held_out_logos())
    code, out, err = verify(indexed_home, "--logos", most + 1, capsys=capsys)
    assert (code, out) == (2, "")
    assert f"--logos {most + 1}: allowed are 1 to {most}" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--missed", "nan"),
        ("--missed", "0"),
        ("--missed", "inf"),
        ("--metric", "l3"),
        ("--logos", "0"),
        ("--top", "0"),
        ("--plot", "plot.jpg"),
        ("--plot", "no/such/folder/plot.png"),
    ],
    ids=" ".join,
)
def test_arguments_that_cannot_work_are_refused(indexed_home, arguments, capsys):
    code, out, err = verify(indexed_home, *arguments, capsys=capsys)
    assert (code, out) == (2, "")
    assert arguments[0].lstrip("-") in err
    assert len(err.splitlines()) == 1


def test_interrupted_is_130_at_once(indexed_home):
    process = subprocess.Popen(
        [*COMMAND, "verify", "--logos", "400", "--progress"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PILOGO_HOME": str(indexed_home)},
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("verify") and "0/" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "pilogo: interrupted"


def test_what_is_offered_is_what_there_is():
    assert OFFERED_METRICS == METRICS
    assert MOST_MATCHES == query.finder.MOST_MATCHES
