"""The suite: what it runs, what it leaves out and why, what becomes of results and children."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import catalogue
import pytest
import suite
from catalogue import BENCHMARKS, SIZES, Benchmark
from click.testing import CliRunner

from indexer.errors import ResourceError, UsageError
from rendering.label_placement import ABOVE_OR_BELOW, SIDES, Placer

ROOT = Path(__file__).parent.parent
WRITES = "import sys; open(sys.argv[sys.argv.index('--json') + 1], 'w').write('{}')"


class Fake(Benchmark):
    """A benchmark whose script is the one argument it has."""

    @property
    def script(self):
        return Path(self.answers)


def make_fake(tmp_path, source, **more):
    script = tmp_path / "fake.py"
    script.write_text(source)
    return Fake("fake", str(script), {10**7: 0.1}, **more)


def lacking(entry, tmp_path, n=10**7):
    return entry.missing(n, tmp_path / "home", tmp_path / "work")


@pytest.fixture
def place(tmp_path):
    (tmp_path / "results").mkdir()
    return suite.Place(10**7, tmp_path / "home", tmp_path / "work", tmp_path / "results")


@pytest.fixture
def stored(monkeypatch):
    """A store of any size is there, without an index."""

    @dataclasses.dataclass
    class Store:
        folder: Path

    monkeypatch.setattr(catalogue, "choose_store", lambda home, n: Store(home / f"pi-{n}"))


def test_what_is_asked_for_comes_in_the_order_of_the_suite():
    assert suite.choose(None) == list(BENCHMARKS)
    assert [entry.name for entry in suite.choose("curves, scan")] == ["scan", "curves"]
    for wrong in ("scan,sacn", ",", ""):
        with pytest.raises(UsageError, match=r"--only names (sacn|nothing); there are scan, "):
            suite.choose(wrong)


@pytest.mark.usefixtures("stored")
def test_what_is_missing_is_said_with_what_to_do(tmp_path, monkeypatch):
    plain = Benchmark("plain", "", {10**7: 1, 10**9: 1})
    assert lacking(plain, tmp_path) == []
    assert lacking(plain, tmp_path, 10**8) == ["it is measured at 1e7 and 1e9 alone"]
    replace = dataclasses.replace
    (said,) = lacking(replace(plain, modules=("click", "no_such_one")), tmp_path)
    assert said == "no_such_one is not installed; next: pip install -e '.[bench]'"
    (said,) = lacking(replace(plain, index=True), tmp_path)
    assert said.endswith(f"no index; next: pilogo build --digits 1e7 --home {tmp_path / 'home'}")
    (said,) = lacking(replace(plain, disk=1e12), tmp_path)
    assert said.startswith(f"10,000.0 PB of disk in {tmp_path / 'work'} are needed")
    (said,) = lacking(replace(plain, base_memory=1e18), tmp_path)
    assert said.startswith("1,000.0 PB of memory are needed")
    monkeypatch.setattr(catalogue.shutil, "which", lambda name: None)
    assert lacking(replace(plain, gcc=True), tmp_path) == ["gcc is not there; next: install gcc"]


def test_a_store_that_is_missing_is_said_with_the_command_that_makes_it(tmp_path):
    (said,) = lacking(Benchmark("plain", "", {10**7: 1}), tmp_path)
    assert "next: pilogo digits compute 1e7" in said


@pytest.mark.usefixtures("stored")
def test_one_that_lacks_something_is_left_out_by_name_and_the_rest_runs(place, capsys):
    able = Benchmark("able", "what is able", {10**7: 2})
    unable = Benchmark("unable", "", {10**7: 5}, modules=("no_such_one",))
    assert suite.announce([able, unable], place) == [able]
    said = capsys.readouterr().out
    assert "able       2 minutes  what is able" in said
    assert "unable      left out  no_such_one is not installed" in said
    assert "about 2 minutes" in said
    with pytest.raises(ResourceError):
        suite.announce([unable], place)


def test_a_result_gets_its_name_when_its_benchmark_ended_well(tmp_path, place, capfd):
    entry = make_fake(tmp_path, WRITES, works=True)
    assert suite.measure(entry, place)
    assert place.result("fake") == tmp_path / "results" / "fake-1e7.json"
    assert [path.name for path in place.results.iterdir()] == ["fake-1e7.json"]
    assert not place.work_of(entry).exists()


def test_what_differs_is_kept_and_is_no_result(tmp_path, place, capfd):
    place.result("fake").write_text("before")
    assert not suite.measure(make_fake(tmp_path, WRITES + "; sys.exit(1)"), place)
    assert place.result("fake").read_text() == "before"
    assert (place.results / "fake-1e7.failed.json").read_text() == "{}"
    assert "fake failed with exit code 1; what it measured is in" in capfd.readouterr().out
    assert not suite.measure(make_fake(tmp_path, "pass"), place)  # no figures are no result


def test_ctrl_c_ends_the_benchmark_and_all_it_started(tmp_path):
    """The signal goes to the suite alone, as `kill` sends it; the child hears of it once."""
    log = tmp_path / "log"
    child = (
        "import signal, subprocess, sys, time\n"
        f"def hear(*_): open({str(log)!r}, 'a').write('heard '); sys.exit(130)\n"
        "signal.signal(signal.SIGINT, hear)\n"
        f"below = subprocess.Popen(['sleep', '60']); open({str(log)!r}, 'a')"
        ".write(f'{below.pid} ')\n"
        "time.sleep(60)\n"
    )
    source = (
        f"import suite, sys; suite.listen(); suite.run_child([sys.executable, '-c', {child!r}])"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'benchmarks'}:{ROOT}"}
    with subprocess.Popen(
        [sys.executable, "-c", source], env=environment, stderr=subprocess.DEVNULL
    ) as process:
        wait_for(lambda: log.exists() and log.read_text().endswith(" "))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == -signal.SIGINT
    below, *heard = log.read_text().split()
    assert heard == ["heard"]
    wait_for(lambda: not alive(int(below)))


def wait_for(true, seconds=20):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_results_of_those_that_are_done_stay_after_ctrl_c(tmp_path, place, capfd, monkeypatch):
    done = make_fake(tmp_path, WRITES)

    def measure(entry, place):
        if entry is done:
            return True
        raise KeyboardInterrupt

    monkeypatch.setattr(suite, "measure", measure)
    lines, interrupted = suite.run_all([done, BENCHMARKS[0], BENCHMARKS[1]], place)
    assert interrupted
    assert [line.split()[:2] for line in lines] == [["fake", "done"], ["scan", "interrupted"]]


def test_the_command_of_a_benchmark_names_everything():
    entry = Benchmark("name", "", {10**8: 1}, works=True, arguments=("--repeat", "3"))
    command = entry.command(10**8, Path("H"), Path("W"), Path("R.json"))
    script, *rest = command
    assert script.endswith("benchmarks/name.py")
    assert " ".join(rest) == "--home H --digits 1e8 --work W --repeat 3 --json R.json"


def test_every_benchmark_is_told_of_and_runs_at_some_size():
    readme = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    for entry in BENCHMARKS:
        assert f"`{entry.name}.py`" in readme
        assert entry.minutes.keys() <= set(SIZES)


def test_a_dry_run_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "announce", lambda chosen, place: chosen)
    monkeypatch.setattr(suite, "run_all", lambda *_: pytest.fail("it ran"))
    arguments = ["--dry-run", "--home", str(tmp_path), "--results", str(tmp_path / "none")]
    assert CliRunner().invoke(suite.main, arguments).exit_code == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("sides", [SIDES, ABOVE_OR_BELOW])
def test_labels_stand_where_they_hide_nothing(sides):
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(6, 4))
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 10)
    rising = [(float(x), float(x)) for x in range(1, 10)]
    placer = Placer(axes, [rising])
    for _ in range(3):
        placer.put("a label", rising, sides)
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 3
    edge = axes.get_window_extent()
    for number, box in enumerate(boxes):
        assert all(not box.overlaps(other) for other in boxes[:number])
        assert edge.x0 <= box.x0 < box.x1 <= edge.x1
        assert not any(box.contains(*axes.transData.transform(point)) for point in rising)


def test_sizes_name_results(place):
    assert place.size == "1e7"
    assert json.dumps([suite.Place(n, *[Path()] * 3).size for n in SIZES]) == (
        '["1e7", "1e8", "1e9"]'
    )
