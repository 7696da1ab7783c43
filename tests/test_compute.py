"""Computed decimals against FLINT's own text; kills, busy stores, short resources."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import flint
import pytest

from indexer import compute, resources, series
from indexer.compute import compute_digits, plan_compute, recompute_hash
from indexer.constants import CONSTANTS
from indexer.digits import find_store, list_stores
from indexer.errors import ResourceError, StoreBusy, StoreDamaged, StoreError, UsageError
from indexer.workspace import Workspace

ROOT = Path(__file__).parent.parent


def true_decimals(constant: str, n: int) -> str:
    """The decimals as FLINT prints a ball: another way from binary to decimal than ours."""
    flint.ctx.dps = n + 30
    balls = {
        "pi": flint.arb.pi(),
        "e": flint.arb(1).exp(),
        "sqrt2": flint.arb(2).sqrt(),
        "ln2": flint.arb(2).log(),
        "phi": (1 + flint.arb(5).sqrt()) / 2,
    }
    text = balls[constant].str(n + 20, radius=False)
    return text.split(".")[1][:n]


def start_compute(home: Path, n: int) -> "subprocess.Popen[bytes]":
    code = (
        "import sys; from pathlib import Path; from indexer.compute import compute_digits\n"
        f"compute_digits(Path(sys.argv[1]), {n})"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(home)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def computing_processes(folder: Path) -> list[int]:
    """Processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
    return found


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("constant", list(CONSTANTS))
def test_decimals_are_right(tmp_path, constant):
    store = compute_digits(tmp_path, 12_345, constant, threads=1)
    assert store.path.read_text() == true_decimals(constant, 12_345)
    assert store.made["how"] == "computed"
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.is_dir()) == [
        f"{constant}-12345"
    ]


@pytest.mark.parametrize("constant", list(CONSTANTS))
def test_first_decimals_in_code_are_right(constant):
    known = CONSTANTS[constant]
    assert true_decimals(constant, 50) == known.first_decimals


@pytest.mark.parametrize("n", [84, 85, 99, 100, 101, 767, 1000, 1023, 1024, 1025])
def test_conversion_across_seams(monkeypatch, n):
    """Tiny leaves, so that every size has many seams."""
    monkeypatch.setattr(series, "LEAF_DIGITS", 16)
    bits = int(n * series.BITS_PER_DIGIT) + series.GUARD_BITS
    fraction, bits, _ = series.certified_fraction("pi", n, series.GUARD_BITS, lambda stage: None)
    text = []
    series.Converter(n, text.append).convert(fraction, bits, n)
    assert b"".join(text).decode() == true_decimals("pi", n)
    assert len(text) >= n // 16


def test_conversion_keeps_leading_zeros(monkeypatch):
    monkeypatch.setattr(series, "LEAF_DIGITS", 4)
    bits = 400
    text = []
    value = flint.fmpz(2) ** bits // (7 * 10**17)
    series.Converter(40, text.append).convert(value, bits, 40)
    assert b"".join(text).decode() == f"{10**40 // (7 * 10**17):040d}"


def test_an_undecided_last_digit_asks_for_more_bits():
    found = series.certified_fraction("pi", 100, -60, lambda stage: None)
    assert found is None


def test_progress_names_the_stages_in_order(tmp_path):
    steps = []
    compute_digits(tmp_path, 300_000, progress=steps.append)
    stages = list(dict.fromkeys(step.stage for step in steps))
    assert stages == ["series", "scale", "convert", "check"]
    assert all(0 <= step.done <= step.total for step in steps)
    assert max(step.done for step in steps if step.unit == "%") <= 99
    assert [step.done for step in steps if step.stage == "convert"][-1] == 300_000


def test_a_complete_store_is_kept_and_replaced_on_request(tmp_path):
    first = compute_digits(tmp_path, 1000)
    stamp = (first.folder / "manifest.json").stat().st_mtime_ns
    assert compute_digits(tmp_path, 1000) == first
    assert (first.folder / "manifest.json").stat().st_mtime_ns == stamp
    again = compute_digits(tmp_path, 1000, replace=True)
    assert (again.folder / "manifest.json").stat().st_mtime_ns != stamp
    assert again.summary == first.summary
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_dir()] == ["pi-1000"]


def test_a_damaged_store_is_not_deleted_unasked(tmp_path):
    folder = compute_digits(tmp_path, 1000).folder
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(StoreDamaged, match="pi-1000"):
        compute_digits(tmp_path, 1000)
    assert (folder / "decimals.txt").exists()
    assert compute_digits(tmp_path, 1000, replace=True).open().shape == (1000,)


def test_leftovers_of_a_killed_run_are_cleared_but_not_foreign_files(tmp_path):
    work = tmp_path / "pi-1000.wip"
    work.mkdir()
    (work / "decimals.txt").write_text("14159")
    (work / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"'notes\.txt'"):
        compute_digits(tmp_path, 1000)
    assert (work / "notes.txt").read_text() == "mine"
    (work / "notes.txt").unlink()
    assert compute_digits(tmp_path, 1000).n == 1000


def test_a_replacement_killed_between_its_renames_is_undone(tmp_path):
    folder = compute_digits(tmp_path, 1000).folder
    folder.rename(tmp_path / "pi-1000.old")
    with Workspace(tmp_path, "pi-1000"):
        assert find_store(tmp_path, "pi", 1000) is not None
        assert not (tmp_path / "pi-1000.old").exists()


def test_a_busy_store_names_who_holds_it(tmp_path):
    with (
        Workspace(tmp_path, "pi-1000"),
        pytest.raises(StoreBusy, match=f"is being made or indexed by process {os.getpid()}; wait"),
    ):
        compute_digits(tmp_path, 1000)
    assert list_stores(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killed_at_random_moments_leaves_nothing_complete(tmp_path):
    chance = random.Random(3)  # noqa: S311
    work = tmp_path / "pi-1000000.wip"
    started = 0
    for _ in range(6):
        process = start_compute(tmp_path, 10**6)
        wait_until(work.exists)
        time.sleep(chance.uniform(0, 0.35))
        process.send_signal(signal.SIGKILL)
        process.wait()
        started += work.exists()
        assert wait_until(lambda: not computing_processes(work)), "the child outlived its parent"
        for store in list_stores(tmp_path):  # it may have been quicker than the kill
            assert store.summary.decimal_hash == 404089929205932130
        if list_stores(tmp_path):
            break
    assert started
    assert compute_digits(tmp_path, 10**6).summary.decimal_hash == 404089929205932130
    assert not work.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_child_dies_with_its_parent_in_the_middle_of_a_long_call(tmp_path):
    """The series of 5 * 10^7 decimals is one call of FLINT of twenty seconds."""
    work = tmp_path / "pi-50000000.wip"
    process = start_compute(tmp_path, 5 * 10**7)
    try:
        assert wait_until((work / "decimals.txt").exists)
        assert computing_processes(work)
    finally:
        process.kill()
        process.wait()
    assert wait_until(lambda: not computing_processes(work), 2.0), "the child outlived its parent"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_interrupted_ends_the_child_within_a_second(tmp_path):
    def interrupt(step):
        if step.stage == "series":
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        compute_digits(tmp_path, 10**7, progress=interrupt)
    assert time.monotonic() - began < 1.5
    assert not computing_processes(tmp_path)
    assert not (tmp_path / "pi-10000000.wip").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_child_ended_from_outside_is_a_resource_error(tmp_path):
    def kill():
        wait_until(lambda: computing_processes(tmp_path))
        for pid in computing_processes(tmp_path):
            os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(ResourceError, match=r"10,000,000 decimals of pi was ended by signal 9"):
        compute_digits(tmp_path, 10**7)
    thread.join()
    assert list_stores(tmp_path) == []


def test_wrong_decimals_from_the_child_are_found(tmp_path, monkeypatch):
    """A bit that flips between the number and the disk."""
    run_series = compute._run_series

    def flipped(request, file, *rest):
        result = run_series(request, file, *rest)
        text = bytearray(file.read_bytes())
        text[500] = 48 + (text[500] - 47) % 10
        file.write_bytes(text)
        return result

    monkeypatch.setattr(compute, "_run_series", flipped)
    with pytest.raises(StoreDamaged, match="but the number computed"):
        compute_digits(tmp_path, 1000)
    assert list_stores(tmp_path) == []


def test_a_folder_of_the_same_name_is_not_imported(tmp_path, monkeypatch):
    """The child must not take flint.py from the current folder."""
    (tmp_path / "flint.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    assert compute_digits(tmp_path / "home", 100).n == 100


def test_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "available_memory", lambda: 10**9)
    with pytest.raises(
        ResourceError, match=r"1e9 decimals of pi needs 8\.1 GB of memory and 1\.0 GB"
    ):
        compute_digits(tmp_path / "home", 10**9)
    monkeypatch.setattr(resources, "available_memory", lambda: 10**12)
    monkeypatch.setattr(resources, "free_disk", lambda folder: 10**6)
    with pytest.raises(ResourceError, match=r"1\.0 GB of disk and 1 MB are free"):
        compute_digits(tmp_path / "home", 10**9)
    monkeypatch.setattr(resources, "free_disk", lambda folder: 0)
    with pytest.raises(ResourceError, match="needs 166 kB of disk and 0 bytes are free"):
        compute_digits(tmp_path / "home", 10**5)
    assert not (tmp_path / "home").exists()


def test_memory_a_little_short_is_tried(tmp_path, monkeypatch):
    """The plan is an estimate: refused is what is clearly too much."""
    monkeypatch.setattr(resources, "available_memory", lambda: 75_000_000)
    assert compute_digits(tmp_path, 1000).n == 1000
    monkeypatch.setattr(resources, "available_memory", lambda: 70_000_000)
    with pytest.raises(ResourceError, match="needs 80 MB of memory and 70 MB are available"):
        compute_digits(tmp_path, 2000)


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (165_536, "166 kB"), (84e6, "84 MB"), (8.1e9, "8.1 GB"),
     (8.00001e13, "80.0 TB"), (8e15, "8.0 PB")],
)  # fmt: skip
def test_bytes_for_a_person(n_bytes, words):
    assert resources.gigabytes(n_bytes) == words


@pytest.mark.parametrize("constant", list(CONSTANTS))
def test_recomputing_gives_the_hash_and_writes_nothing(tmp_path, constant):
    store = compute_digits(tmp_path, 12_345, constant)
    before = sorted(tmp_path.rglob("*"))
    store.path.write_text("7" * 12_345)  # what the store says is not looked at
    steps = []
    assert recompute_hash(store, 2, steps.append) == store.summary.decimal_hash
    assert sorted(tmp_path.rglob("*")) == before
    assert {step.stage for step in steps} == {"series", "scale"}


def test_recomputing_needs_memory(tmp_path, monkeypatch):
    store = compute_digits(tmp_path, 1000)
    monkeypatch.setattr(resources, "available_memory", lambda: 10**6)
    with pytest.raises(ResourceError, match="computing 1000 decimals of pi again needs 80 MB"):
        recompute_hash(store, 2)


def test_the_word_for_no_file_is_the_same_in_parent_and_child():
    assert compute.NO_FILE == series.NO_FILE


def test_an_error_of_the_child_names_the_path_once(tmp_path, monkeypatch):
    run_series = compute._run_series

    def taken(request, file, *rest):
        file.write_text("")
        return run_series(request, file, *rest)

    monkeypatch.setattr(compute, "_run_series", taken)
    with pytest.raises(StoreError, match=r"^\S+decimals\.txt: File exists; is ") as caught:
        compute_digits(tmp_path, 1000)
    assert "Errno" not in str(caught.value)


@pytest.mark.parametrize(("constant", "n"), [("pi", 83), ("pi", 10**16), ("tau", 100)])
def test_requests_that_cannot_work(tmp_path, constant, n):
    with pytest.raises(UsageError, match=str(n) if constant == "pi" else constant):
        compute_digits(tmp_path, n, constant)


def test_plan_grows_and_stays_within_what_was_promised():
    plans = [plan_compute(10**k, threads=2) for k in range(4, 11)]
    assert [p.seconds for p in plans] == sorted(p.seconds for p in plans)
    billion = plan_compute(10**9, threads=2)
    assert billion.seconds < 20 * 60
    assert 8.0e9 < billion.memory_bytes < 8.2e9  # measured: 8.05e9
    assert plan_compute(10**9, threads=1).seconds > 1.5 * billion.seconds
    assert plan_compute(10**7, threads=2).seconds < 8


def fake_system(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemAvailable: 4000000 kB\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({}, 4_096_000_000),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/memory.max": "1000000000",
                "sys/fs/cgroup/a/memory.current": "600000000",
                "sys/fs/cgroup/a/memory.stat": "anon 1\ninactive_file 100000000\n",
                "sys/fs/cgroup/a/b/memory.max": "max",
            },
            500_000_000,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,memory:/x\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000000",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "500000000",
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9223372036854771712",
            },
            1_500_000_000,
        ),
    ],
)
def test_available_memory_minds_the_container(tmp_path, files, available):
    assert resources.available_memory(fake_system(tmp_path, files)) == available


def test_usable_threads_is_positive():
    assert resources.usable_threads() >= 1
