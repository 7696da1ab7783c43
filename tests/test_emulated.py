"""The scan routine of another processor (aarch64), run under an emulator.

An x86 machine can compile the NEON routine but not call it, so test_kernels.py sees only that the
right instructions come out. Here they are executed, by qemu, and the answers compared with NumPy.
"""

import ctypes
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
from test_plan import bounds_of, tables
from test_scan import planted, random_costs, random_digits, truth

from query import scan
from query.assembly import assembly
from query.assembly.layout import (
    INSTRUCTION_SETS,
    JOB,
    MAX_KINDS,
    PLAIN,
    PLANE_ROWS,
    POSITIONS,
    STEP,
    STRETCH,
)
from query.chunks import Chunk
from query.metrics import CostTable, cost_table
from query.plan import LARGEST_SUM, Planner
from query.scan import closest_windows

DRIVER = Path(__file__).parent / "emulated" / "driver.c"
NEON = next(isa for isa in INSTRUCTION_SETS if isa.name == "neon")
BLOCK = NEON.lanes * STRETCH
# name: instruction set, processor, LLVM features, what qemu plays. The same routine is tuned for
# two processors, because LLVM unrolls and orders it differently, and may use SVE where it can.
MACHINES = {
    "neon": (NEON, "generic", "+neon", "cortex-a72"),
    "neon-v1": (NEON, "neoverse-v1", "+neon,+sve", "max"),
    "plain": (PLAIN, "generic", "+neon", "cortex-a72"),
}
PACKAGES = "apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross"


class Emulated:
    """What query.kernels.Kernel is to this processor: an emulator that is sent jobs."""

    def __init__(self, isa, command):
        self.isa = isa
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self):
        self._process.communicate()

    def run(self, job):
        fields = dict(zip(JOB.fields, job.words.tolist(), strict=True))
        text = b"".join(self._field(name, fields) for name in JOB.fields)
        watchdog = threading.Timer(60, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(text)
            self._process.stdin.flush()
            after = np.frombuffer(self._read(job.words.nbytes), np.int64)
            count = int(after[JOB.fields.index("count")])
            rows = self._read(16 * count)
        finally:
            watchdog.cancel()
        assert count <= fields["capacity"]
        for index, name in enumerate(JOB.fields):
            if name not in JOB.pointers:
                job.words[index] = after[index]
        ctypes.memmove(fields["found"], rows, len(rows))

    def _read(self, size):
        answer = self._process.stdout.read(size)
        if len(answer) < size:
            pytest.fail(f"the emulator ended with status {self._process.wait(10)}")
        return answer

    def _field(self, name, fields):
        """A field as the driver reads it."""
        if name not in JOB.pointers:
            return np.array([fields[name], -1]).tobytes()
        if name in {"planes", "found"}:
            return np.array([0, self._size(name, fields)]).tobytes()
        size = self._size(name, fields)
        content = ctypes.string_at(fields[name], size) if size else b""
        return np.array([1, size]).tobytes() + content

    def _letters_bytes(self, fields):
        """Up to the last letter that a kind names."""
        if not fields["n_kinds"]:
            return 0
        offsets = ctypes.string_at(fields["kinds"], fields["n_kinds"] * 4 * 8)
        return int(np.frombuffer(offsets, np.int64).max()) + self.isa.lanes

    def _size(self, name, fields):
        """Bytes of an array: as much as the routine may touch, and no more."""
        lanes = self.isa.lanes
        # The last window, or what the transpose of the last block reads.
        digits = fields["end"] + 83
        if fields["vector_end"] > fields["position"]:
            digits = max(digits, fields["vector_end"] + POSITIONS - STRETCH)
        return {
            "digits": digits,
            "letters": self._letters_bytes(fields),
            "kinds": fields["n_kinds"] * 4 * 8,
            "planes": MAX_KINDS * PLANE_ROWS * lanes,
            "groups": fields["n_groups"] * 16,
            "tables": fields["n_groups"] * lanes,
            "costs": 84 * 16 * 4,
            "found": fields["capacity"] * 2 * 8,
        }[name]


def compile_object(isa, cpu, features):
    """The routine as an object file, by the passes of query/kernels.py."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple("aarch64-linux-gnu")
    machine = target.create_target_machine(
        cpu=cpu, features=features, opt=3, reloc="pic", codemodel="small"
    )
    module = llvm.parse_assembly(assembly(isa))
    module.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    return machine.emit_object(module)


@pytest.fixture(scope="session")
def emulated(tmp_path_factory):
    """The kernel of a machine of MACHINES, compiled once."""
    gcc, qemu = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
    if gcc is None or qemu is None:
        pytest.skip(f"needs qemu-aarch64 and aarch64-linux-gnu-gcc: {PACKAGES}")
    find = [gcc, "-print-file-name=libc.a"]
    libc = subprocess.run(find, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(libc).is_file():  # the bare name where there is none
        pytest.skip(f"needs libc.a of aarch64, found {libc}: {PACKAGES}")
    folder = tmp_path_factory.mktemp("emulated")
    numbers = {"N_FIELDS": len(JOB.fields)}
    numbers |= {name.upper(): JOB.fields.index(name) for name in ("count", "found")}
    macros = [f"-D{name}={number}" for name, number in numbers.items()]
    kernels = {}

    def load(name):
        if name not in kernels:
            isa, cpu, features, played = MACHINES[name]
            code, program = folder / f"{name}.o", folder / name
            code.write_bytes(compile_object(isa, cpu, features))
            flags = ["-static", "-O1", "-Wall", "-Werror", *macros]
            subprocess.run([gcc, *flags, DRIVER, code, "-o", program], check=True, timeout=120)
            kernels[name] = Emulated(isa, [qemu, "-cpu", played, program])
        return kernels[name]

    yield load
    for kernel in kernels.values():
        kernel.close()


def ranking(kernel, digits, costs, top):
    table = CostTable("costs", np.asarray(costs, np.int32))
    found = closest_windows(digits, table, top, kernel=kernel)
    return list(zip(found.distances.tolist(), found.starts.tolist(), strict=True))


def restricted(costs, size):
    """A planner that takes groups of `size` pixels; None where this table has no such groups."""
    planner = Planner(costs, NEON, thorough=True)
    planner._families = [family for family in planner._families if family.size == size]
    return planner if planner._families else None


def scanned(kernel, digits, costs, plan, limit):
    """Rows (start, distance) of one chunk of all windows, and the number of calls it took."""
    padded = np.zeros((84, 16), np.int32)
    padded[:, :10] = costs
    task = scan.Task(kernel, padded)
    task.begin(Chunk(digits, 0, 0, len(digits) - 83))
    if plan is not None:
        task.take(plan)
    rows, calls = [], 0
    while not task.finished:
        task.run(limit)
        found = task.found()
        rows += zip(found.starts.tolist(), found.distances.tolist(), strict=True)
        calls += 1
        assert len(rows) <= len(digits) - 83  # a kernel that does not move on would never end
    return rows, calls


def kth_distance(digits, costs, k):
    return truth(digits, costs, k)[-1][0]


def within(digits, costs, limit):
    """Rows (start, distance) of the windows within the limit, by whole-array sums."""
    n = len(digits) - 83
    return sorted((start, d) for d, start in truth(digits, costs, n) if d <= limit)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["neon", "neon-v1"])
def test_the_windows_that_survive_are_those_the_plan_bounds_within(name, size, emulated):
    """With costs of nothing every survivor is stored: so all sums of bounds are seen to be right.

    The thresholds let through none, a tenth, half and nearly all of the windows.
    """
    rng = np.random.default_rng(21)
    digits = random_digits(rng, BLOCK + 3000)
    windows = np.lib.stride_tricks.sliding_window_view(digits - 48, 84)
    vector_end = len(digits) - (POSITIONS - STRETCH)
    for table, costs in tables():
        planner = restricted(costs, size)
        if planner is None:
            continue
        plan = planner.plan(kth_distance(digits, costs, 500))
        sums = bounds_of(plan, NEON, windows)
        for threshold in {0, *np.quantile(sums, [0.1, 0.5, 0.98]).astype(int).tolist()}:
            changed = replace(plan, threshold=min(threshold, LARGEST_SUM))
            survives = sums <= changed.threshold
            survives[vector_end:] = True  # the plain loop takes what is left
            rows, _ = scanned(emulated(name), digits, np.zeros((84, 10)), changed, 0)
            starts = sorted(start for start, _ in rows)
            assert starts == survives.nonzero()[0].tolist(), (table, threshold)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_every_window_within_the_limit_is_found(size, emulated):
    rng = np.random.default_rng(22)
    seen = 0
    for _ in range(12):
        digits = random_digits(rng, BLOCK + int(rng.integers(-100, 12_000)))
        costs = random_costs(rng)
        planner = restricted(costs, size)
        if planner is None:
            continue
        limit = kth_distance(digits, costs, int(rng.choice([20, 400])))
        expected = within(digits, costs, limit)
        rows, _ = scanned(emulated("neon"), digits, costs, planner.plan(limit), limit)
        assert sorted(rows) == expected
        seen += len(expected)
    assert seen > 100


@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize("name", MACHINES)
def test_the_ranking_of_a_whole_scan_is_the_truth(name, thorough, emulated, monkeypatch):
    monkeypatch.setattr(scan, "_THOROUGH", 0 if thorough else 10**12)
    rng = np.random.default_rng(23)
    for _ in range(6):
        digits = random_digits(rng, BLOCK + int(rng.integers(-100, 20_000)))
        costs = random_costs(rng)
        top = int(rng.choice([1, 10, 300]))
        assert ranking(emulated(name), digits, costs, top) == truth(digits, costs, top)


def test_short_texts_equal_the_truth(emulated):
    rng = np.random.default_rng(24)
    for name in MACHINES:
        for n in (84, 85, 200, BLOCK + 95, BLOCK + 96, BLOCK + 97):
            digits, costs = random_digits(rng, n), rng.integers(-5, 12, (84, 10))
            assert ranking(emulated(name), digits, costs, 5) == truth(digits, costs, 5), (name, n)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_planted_picture_is_found_at_every_seam(size, emulated):
    """At the first and last window, and around the border of every stretch and every block."""
    bitmap = np.random.default_rng(25).choice([0, 5, 9], 84).astype(np.uint8)
    costs = cost_table(bitmap.reshape(6, 14)).costs
    planner = restricted(costs, size)
    n = 2 * BLOCK + 5000
    borders = range(STRETCH, n - 300, STRETCH)
    for shift in (-84, -83, -42, -8, -7, -1, 0, 1, 7, 8):
        last = n - 84 - abs(shift)
        starts = [max(shift, 0), *(border + shift for border in borders), last]
        digits = planted(n, bitmap, starts)
        rows, _ = scanned(emulated("neon"), digits, costs, planner.plan(0), 0)
        assert sorted(rows) == [(start, 0) for start in starts], shift


@pytest.mark.parametrize("name", MACHINES)
def test_a_full_table_of_finds_is_resumed_where_it_stopped(name, emulated, monkeypatch):
    """The least room a step of vectors can use, and a limit that 1 window in 20 is within."""
    monkeypatch.setattr(scan, "_CAPACITY", STEP * NEON.lanes)
    rng = np.random.default_rng(26)
    digits = random_digits(rng, 2 * BLOCK + 700)
    costs = cost_table(rng.integers(0, 10, (6, 14)).astype(np.uint8), "l1").costs
    limit = kth_distance(digits, costs, len(digits) // 20)
    plan = None if name == "plain" else Planner(costs, NEON, thorough=True).plan(limit)
    rows, calls = scanned(emulated(name), digits, costs, plan, limit)
    assert sorted(rows) == within(digits, costs, limit)
    assert calls > 10
