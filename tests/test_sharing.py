"""Many tables scanned together: the answers of scans one by one, and the bounds they rest on."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from test_scan import planted, random_costs, random_digits, truth

from indexer.corpus import held_out_logos
from indexer.decimals import MappedDecimals
from query import chunks, together
from query.assembly.layout import INSTRUCTION_SETS, MAX_SHARED, SHARED_ROWS, SHARED_TILE, STRETCH
from query.chunks import OVERRUN, Chunk, Stretch
from query.kernels import available, load_kernel
from query.metrics import METRICS, CostTable, cost_table
from query.plan import LARGEST_SUM
from query.ranking import Best, enough
from query.sharing import SharedPlanner
from query.together import scan_together

SHARING = INSTRUCTION_SETS[0]
LANES = SHARING.lanes
needs_sharing = pytest.mark.skipif(
    not load_kernel().shares, reason="this processor cannot look up in 64 bytes"
)


@pytest.fixture(autouse=True)
def _together_whatever_it_costs(monkeypatch):
    """Among few windows most tables are scanned alone: their limits are too far out to share."""
    monkeypatch.setattr(together, "ALONE", np.inf)


def logos(n, seed=0):
    pictures = held_out_logos()
    chosen = np.random.default_rng(seed).choice(len(pictures), n, replace=False)
    return pictures[chosen].reshape(n, 6, 14)


def logo_tables(n, metric="l1", seed=0):
    return [cost_table(logo, metric) for logo in logos(n, seed)]


def scanned(digits, tables, tops, kernel=None, threads=1, **options):
    """Rows (distance, start) of every table, by one scan of all."""
    n = len(digits) - 83
    bests = [
        Best(top, table.law.closest(n, enough(top)))
        for table, top in zip(tables, tops, strict=True)
    ]
    stretches = [Stretch(0, n, MappedDecimals(digits))]
    scan_together(stretches, tables, bests, kernel=load_kernel(kernel), threads=threads, **options)
    rankings = [best.ranking() for best in bests]
    return [list(zip(r.distances.tolist(), r.starts.tolist(), strict=True)) for r in rankings]


def bounds_of(planner, plan, windows):
    """What the kernel computes, by the meaning of the fields: sums of bounds of each window."""
    plane_bytes = SHARED_ROWS * LANES
    n_letters = len(planner.keys.kinds)
    sizes = [1] * n_letters

    def keys(symbol, pixel):
        if symbol < n_letters:
            letter = planner.keys.letters[planner.keys.kinds[symbol, 0] // LANES]
            return letter[windows[:, pixel]].astype(np.int64)
        back, right = planner.keys.sums[symbol - n_letters].tolist()
        b = right // plane_bytes
        a = (back + sizes[b] * LANES) // plane_bytes
        return np.minimum(keys(a, pixel) + keys(b, pixel + sizes[a]), 63)

    for back, right in planner.keys.sums.tolist():
        b = right // plane_bytes
        assert (back + sizes[b] * LANES) % plane_bytes == 0
        sizes.append(sizes[(back + sizes[b] * LANES) // plane_bytes] + sizes[b])
    totals = np.zeros(len(windows), np.int64)
    covered = []
    for (plane, along), table in zip(plan.groups.tolist(), plan.tables, strict=True):
        symbol = plane // plane_bytes
        pixel = along // LANES - sizes[symbol] + 1
        covered += range(pixel, pixel + sizes[symbol])
        totals = np.minimum(totals + table[keys(symbol, pixel)], 255)
    assert sorted(covered) == list(range(84))
    return totals


@pytest.mark.parametrize("metric", [*METRICS, "random"])
def test_no_window_within_the_limit_is_bounded_out(metric):
    rng = np.random.default_rng(1)
    tables = (
        [CostTable("costs", random_costs(rng)) for _ in range(9)]
        if metric == "random"
        else logo_tables(30, metric)
    )
    tables = [table for table in tables if abs(table.costs).max() < 10**6]
    limits = [table.law.closest(10**9, 39) for table in tables]
    planner = SharedPlanner([table.costs for table in tables], limits, SHARING)
    assert len(tables) / 10 < planner.keys.n_planes <= MAX_SHARED
    for i, (table, limit) in enumerate(zip(tables, limits, strict=True)):
        windows = rng.integers(0, 10, (500, 84))
        near = rng.random((500, 84)) < rng.random((500, 1))
        windows = np.where(near, table.costs.argmin(axis=1), windows)
        distances = table.costs[np.arange(84), windows].astype(np.int64).sum(axis=1)
        for at in (limit, table.law.lowest, int(np.median(distances))):
            plan = planner.plan(i, at)
            within = distances <= at
            assert (bounds_of(planner, plan, windows)[within] <= plan.threshold).all()


def test_the_promised_pruning_is_what_random_windows_show():
    tables = logo_tables(12)
    limits = [table.law.closest(10**4, 39) for table in tables]
    planner = SharedPlanner([table.costs for table in tables], limits, SHARING)
    windows = np.random.default_rng(2).integers(0, 10, (200_000, 84))
    for i, limit in enumerate(limits):
        plan = planner.plan(i, limit)
        seen = (bounds_of(planner, plan, windows) <= plan.threshold).mean()
        assert seen == pytest.approx(plan.passing, rel=0.2)


def test_runs_of_one_shade_become_sums():
    white, black = (cost_table(np.full((6, 14), shade, np.uint8)) for shade in (9, 0))
    tables = [white, black] * 4
    limits = [table.law.closest(10**9, 39) for table in tables]
    planner = SharedPlanner([table.costs for table in tables], limits, SHARING)
    assert len(planner.keys.kinds) == 2
    assert len(planner.plan(0, limits[0]).groups) < 84 / 7
    assert planner.plan(0, limits[0]).effort < 11


def test_tables_with_nothing_in_common_have_no_planes():
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 100, (84, 10)).astype(np.int32) for _ in range(15)]
    assert SharedPlanner(noise, [100] * 15, SHARING).keys is None
    flat = [np.zeros((84, 10), np.int32)] * 9
    assert SharedPlanner(flat, [0] * 9, SHARING).keys is None


@needs_sharing
def test_the_windows_that_survive_are_those_the_plans_bound_within():
    """With costs of nothing every survivor is stored: so all sums of bounds are seen."""
    digits = random_digits(np.random.default_rng(15), LANES * STRETCH + 20_000)
    n = len(digits) - 83
    windows = np.lib.stride_tricks.sliding_window_view(digits - 48, 84)
    tables = logo_tables(9, seed=16)
    bests = [Best(n, table.law.closest(n, 500)) for table in tables]
    group = together._Group(tables, bests, load_kernel())
    assert group.together == list(range(9))
    expected = {}
    for i, plan in group.plans.items():
        sums = bounds_of(group.planner, plan, windows)
        threshold = min(int(np.quantile(sums, 0.02 * i)), LARGEST_SUM)
        changed = replace(plan, threshold=threshold)
        group.plans[i] = changed
        expected[i] = sums <= changed.threshold
        expected[i][len(digits) - OVERRUN :] = True  # the plain loop takes what is left
    worker = together._Worker(group)
    nothing = np.zeros((84, 16), np.int32)
    for task in worker._tasks.values():
        task.job.set(costs=nothing.ctypes.data)
    worker.scan(Chunk(digits, 0, 0, n))
    for i, best in enumerate(bests):
        assert best.ranking().starts.tolist() == expected[i].nonzero()[0].tolist(), i


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("metric", METRICS)
def test_every_table_has_the_answer_of_its_own_scan(metric, threads):
    rng = np.random.default_rng(4)
    digits = random_digits(rng, LANES * STRETCH + int(rng.integers(-100, 200_000)))
    tables = logo_tables(12, metric, seed=5)
    tops = [int(rng.choice([1, 10, 200])) for _ in tables]
    found = scanned(digits, tables, tops, threads=threads)
    for table, top, rows in zip(tables, tops, found, strict=True):
        assert rows == truth(digits, table.costs, top)


@needs_sharing
def test_these_answers_come_from_shared_planes(monkeypatch):
    """Else the other tests would compare scans with scans."""

    def fail(*_args, **_named):
        raise AssertionError("scanned alone")

    monkeypatch.setattr(together, "scan_within", fail)
    digits = random_digits(np.random.default_rng(6), LANES * STRETCH + 5000)
    tables = logo_tables(12)
    for table, rows in zip(tables, scanned(digits, tables, [10] * 12), strict=True):
        assert rows == truth(digits, table.costs, 10)


@pytest.mark.parametrize("alone", [30.0, np.inf])
@pytest.mark.parametrize("name", [isa.name for isa in available() if isa.name != "plain"])
def test_odd_tables_among_logos_are_scanned_too(name, alone, monkeypatch):
    monkeypatch.setattr(together, "ALONE", alone)
    rng = np.random.default_rng(7)
    digits = random_digits(rng, LANES * STRETCH + 3000)
    tables = [*logo_tables(10), *(CostTable("costs", random_costs(rng)) for _ in range(4))]
    found = scanned(digits, tables, [15] * len(tables), kernel=name)
    for table, rows in zip(tables, found, strict=True):
        assert rows == truth(digits, table.costs, 15)


@pytest.mark.parametrize("n", [0, 1, 7, 8])
def test_few_tables_and_short_texts(n):
    for length in (84, 200, 5000):
        digits = random_digits(np.random.default_rng(8), length)
        tables = logo_tables(n) if n else []
        for table, rows in zip(tables, scanned(digits, tables, [5] * n), strict=True):
            assert rows == truth(digits, table.costs, 5)


def test_more_tables_than_go_together(monkeypatch):
    monkeypatch.setattr(together, "MOST_TOGETHER", 9)
    digits = random_digits(np.random.default_rng(9), LANES * STRETCH + 400)
    tables = logo_tables(20)
    steps = []
    found = scanned(digits, tables, [10] * 20, threads=2, progress=steps.append)
    for table, rows in zip(tables, found, strict=True):
        assert rows == truth(digits, table.costs, 10)
    n_windows = len(digits) - 83
    assert [s.done for s in steps] == sorted(s.done for s in steps)
    assert (steps[-1].done, steps[-1].total) == (20 * n_windows, 20 * n_windows)


def test_a_planted_picture_is_found_at_every_seam():
    """Around the border of every stretch, block and tile, and at both ends."""
    pictures = logos(8, seed=10)
    tables = [cost_table(picture) for picture in pictures]
    n = LANES * STRETCH * 2 + 5000
    seams = [0, 1, n - 84, n - 85, n - 97, n - 180, n - 181]
    for border in (STRETCH, 9 * STRETCH, LANES * STRETCH, 2 * LANES * STRETCH):
        seams += [border + d for d in (-SHARED_TILE, -84, -83, -42, -16, -1, 0, 1, 95, 96, 97)]
    for number, start in enumerate(seams):
        k = number % len(tables)
        digits = planted(n, pictures[k].ravel(), [start])
        assert scanned(digits, tables, [1] * 8)[k] == [(0, start)], start


def test_every_start_of_a_block_can_be_found():
    n = LANES * STRETCH + 200
    digits = np.full(n, 48, np.uint8)
    costs = np.zeros((84, 10), np.int32)
    costs[0, 1:] = 1  # only the first digit counts, and all are 0
    tables = [*logo_tables(9), CostTable("costs", costs)]
    found = scanned(digits, tables, [3] * 9 + [n - 83])
    assert found[-1] == [(0, start) for start in range(n - 83)]


def test_same_answer_for_any_threads_chunks_and_capacity(monkeypatch, decimals):
    digits = decimals[:600_000]
    tables = logo_tables(9, seed=11)
    expected = [truth(digits, table.costs, 3000) for table in tables]
    for threads, chunk, capacity in ((1, 1 << 23, 1), (2, 1, 1 << 14), (3, 100_000, 1)):
        monkeypatch.setattr(chunks, "_LARGEST_CHUNK", chunk)
        monkeypatch.setattr(together, "_CAPACITY", capacity)
        assert scanned(digits, tables, [3000] * 9, threads=threads) == expected


def test_ties_end_a_table_and_not_the_others():
    """All windows are as close as can be for one table: it is done with the first of them."""
    rng = np.random.default_rng(12)
    digits = random_digits(rng, 3 * LANES * STRETCH)
    digits[: LANES * STRETCH] = 48
    tables = [cost_table(np.zeros((6, 14), np.uint8)), *logo_tables(9, seed=13)]
    found = scanned(digits, tables, [10] * 10)
    for table, rows in zip(tables, found, strict=True):
        assert rows == truth(digits, table.costs, 10)


def test_interrupting_ends_within_a_second_and_leaves_no_thread():
    digits = random_digits(np.random.default_rng(14), 40_000_000)
    tables = logo_tables(100)

    def interrupt(step):
        if step.done < step.total:
            raise KeyboardInterrupt

    scanned(digits[:200_000], tables, [10] * 100)  # compiles
    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        scanned(digits, tables, [10] * 100, threads=2, progress=interrupt)
    assert time.perf_counter() - began < 1.5
    assert not [t for t in threading.enumerate() if t.name.startswith("scan")]
