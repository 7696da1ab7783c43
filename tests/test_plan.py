import numpy as np
import pytest

from query.assembly.layout import INSTRUCTION_SETS, MAX_KINDS, PLAIN, PLANE_ROWS
from query.metrics import METRICS, cost_table
from query.plan import LARGEST_SUM, Plan, Planner
from query.significance import Law

VECTOR_SETS = [isa for isa in INSTRUCTION_SETS if isa is not PLAIN]


def bounds_of(plan: Plan, isa, windows: np.ndarray, groups: int | None = None) -> np.ndarray:
    """What the kernel computes, by the meaning of the plan's fields: sums of bounds a window."""
    totals = np.zeros(len(windows), np.int64)
    for place, table in zip(plan.groups[:groups], plan.tables[:groups], strict=True):
        plane = place[0] // isa.lanes // PLANE_ROWS
        first = place[1] // isa.lanes
        terms = []
        for pixel in range(plan.group_size):
            letter = plan.kinds[plane, pixel] // isa.lanes
            terms.append(plan.letters[letter][windows[:, first + pixel]].astype(np.int64))

        def add(a, b):
            return a + b if isa.entries == 64 else (a + b + 1) // 2

        if len(terms) == 4:
            terms = [add(terms[0], terms[1]), add(terms[2], terms[3])]
        key = terms[0]
        for term in terms[1:]:
            key = add(key, term)
        assert key.max() < isa.entries
        totals = np.minimum(totals + table[key], 255)
    return totals


def tables():
    rng = np.random.default_rng(8)
    logo = rng.choice([0, 0, 0, 9, 9, 5, 3], 84).astype(np.uint8).reshape(6, 14)
    for metric in METRICS:
        yield metric, cost_table(logo, metric).costs
    noise = rng.integers(0, 10, (6, 14)).astype(np.uint8)
    yield "noise", cost_table(noise, "l1").costs
    yield "random", rng.integers(-100, 100, (84, 10)).astype(np.int32)
    yield "huge", rng.integers(-(10**7), 10**7, (84, 10)).astype(np.int32)
    yield "flat", np.zeros((84, 10), np.int32)
    one = np.zeros((84, 10), np.int32)
    one[40, :5] = 3
    yield "one pixel", one
    yield "binary", (rng.random((84, 10)) < 0.5).astype(np.int32)


@pytest.mark.parametrize("isa", VECTOR_SETS, ids=lambda isa: isa.name)
@pytest.mark.parametrize(
    ("name", "costs"), list(tables()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_no_window_within_the_limit_is_bounded_out(name, costs, isa):
    rng = np.random.default_rng(9)
    # Random windows, and windows near the best: half of their pixels at their cheapest digit.
    windows = rng.integers(0, 10, (4000, 84))
    cheapest = costs.argmin(axis=1)
    near = rng.random((4000, 84)) < rng.random((4000, 1))
    windows = np.concatenate([windows, np.where(near, cheapest, windows), cheapest[None]])
    distances = costs[np.arange(84), windows].astype(np.int64).sum(axis=1)
    law = Law(costs)
    planner = Planner(costs, isa, thorough=True)
    families = planner._families
    for limit in {law.lowest, law.closest(10**9, 39), law.closest(1000, 30), law.highest}:
        for size in (0, 1, 2, 3, 4):
            planner._families = [f for f in families if size in {0, f.size}]
            if not planner._families:
                continue
            plan = planner.plan(limit)
            assert plan.threshold <= LARGEST_SUM
            assert len(plan.kinds) <= MAX_KINDS
            assert sorted(plan.groups[:, 1] // isa.lanes) == list(range(0, 84, plan.group_size))
            within = distances <= limit
            sums = bounds_of(plan, isa, windows)
            assert (sums[within] <= plan.threshold).all()


def test_the_promised_pruning_is_what_random_windows_show(soundcloud):
    costs = cost_table(soundcloud).costs
    isa = INSTRUCTION_SETS[0]
    plan = Planner(costs, isa, thorough=True).plan(Law(costs).closest(10**5, 39))
    windows = np.random.default_rng(1).integers(0, 10, (200_000, 84))
    seen = (bounds_of(plan, isa, windows) <= plan.threshold).mean()
    assert seen == pytest.approx(plan.passing, rel=0.15)


def test_bounds_of_extreme_shades_are_exact():
    costs = cost_table(np.tile(np.array([0, 9], np.uint8), 42).reshape(6, 14)).costs
    isa = INSTRUCTION_SETS[0]
    planner = Planner(costs, isa, thorough=True)
    planner._families = [f for f in planner._families if f.size == 2]
    plan = planner.plan(230)
    windows = np.random.default_rng(3).integers(0, 10, (1000, 84))
    distances = costs[np.arange(84), windows].sum(axis=1)
    assert (bounds_of(plan, isa, windows) == np.minimum(distances, 255)).all()
