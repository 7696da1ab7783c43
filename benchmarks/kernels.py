"""Where the time of one scan goes: the constants that steer the choice of a plan, measured.

Plans made up so that they differ in one thing only are run over random digits; the least time of
many rounds counts. All in look-ups of one vector, the unit of query/plan.py, whose constants are
printed beside. Nothing here can make an answer wrong, only slow.
"""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from indexer.options import Count
from indexer.packaged import data_file
from indexer.window import SHADES, WINDOW, count_windows
from measuring.machine import Job, alternate, describe, print_machine, run
from query import plan as plans
from query.assembly.layout import (
    MAX_KINDS,
    PLAIN,
    PLANE_ROWS,
    InstructionSet,
)
from query.bitmap import read_logo
from query.chunks import Chunk
from query.kernels import available, load_kernel
from query.metrics import cost_table
from query.plan import LARGEST_SUM, Plan, Planner, aligned
from query.scan import Task

GROUPS = 42
SIZES = (1, 2, 3, 4)
# More than any sum of bounds within the limit, and nothing.
_OUT, _IN = LARGEST_SUM + 1, 0
# Pixels whose digits let a window pass the first test. No two windows of one step share one of
# these digits (their starts are less than 16 apart, or a stretch), so they pass independently.
_GATES = (0, 16, 32, 48, 64, 80)
# Groups after the test.
_REST = 3
# Gates with which few steps go on, and with which many vectors of them do.
_SHUT, _OPEN = 5, 4
# Groups before that test, at least: with so few that a pass waits for memory, more would look free.
_FIRST = 14


@dataclass(frozen=True)
class Bench:
    """One instruction set's task over some random digits, and the plans it is timed with."""

    isa: InstructionSet
    task: Task
    digits: NDArray[np.uint8]
    n_windows: int

    def plan(self, n_kinds: int, size: int = 1, n_first: int = GROUPS) -> Plan:
        """A plan of 42 groups that lets no window pass: kinds and look-ups are free."""
        lanes, entries = self.isa.lanes, self.isa.entries
        letters = aligned(1, lanes)
        letters.reshape(lanes // entries, entries)[:, :SHADES] = np.arange(SHADES, dtype=np.uint8)
        kinds = np.zeros((n_kinds, 4), dtype=np.int64)
        planes = np.arange(GROUPS) % n_kinds * PLANE_ROWS * lanes
        groups = np.stack([planes, np.arange(GROUPS) * size % WINDOW * lanes], axis=1)
        tables = aligned(GROUPS, lanes)
        tables[:] = _OUT
        threshold = LARGEST_SUM
        return Plan(letters, kinds, groups, tables, size, n_first, threshold, 0.0, 0.0)

    def gated(self, n_gates: int, rest: int) -> tuple[Plan, float]:
        """A plan whose first test is passed by windows with a 0 or 1 at each of the first gates.

        The groups after the test cost `rest`. And the fraction of the windows that pass.
        """
        plan = self.plan(1, n_first=_FIRST)
        groups, tables = (
            plan.groups[: _FIRST + _REST].copy(),
            aligned(_FIRST + _REST, self.isa.lanes),
        )
        groups[:n_gates, 1] = np.array(_GATES[:n_gates]) * self.isa.lanes
        tables[:_FIRST] = _IN
        tables[_FIRST:] = rest
        gates = tables[:n_gates].reshape(n_gates, -1, self.isa.entries)
        gates[:] = _OUT
        gates[:, :, :2] = _IN
        return replace(plan, groups=groups, tables=tables), (2 / SHADES) ** n_gates

    def job(self, name: str, plan: Plan, rounds: int) -> Job:
        """One pass over all windows; no window is close enough to be kept."""

        def work() -> None:
            self.task.begin(Chunk(self.digits, 0, 0, self.n_windows))
            self.task.take(plan)
            self.task.run(limit=-1)

        return Job(name, work, self.n_windows, rounds)


def slope(jobs: Sequence[Job], steps: Sequence[float]) -> float:
    """Seconds more for each step, by least squares over the least times."""
    return float(np.polyfit(steps, [job.least for job in jobs], 1)[0])


def measure(bench: Bench, rounds: int) -> tuple[float, dict[str, float]]:
    """(ns of a look-up, look-ups of everything else by name), for one vector of windows."""
    counts, kinds = (_FIRST, 28, GROUPS), range(1, MAX_KINDS + 1)
    lookup_jobs = [bench.job("look-ups", bench.plan(1, n_first=k), rounds) for k in counts]
    kind_jobs = {
        size: [bench.job("kinds", bench.plan(k, size), rounds) for k in kinds] for size in SIZES
    }
    closed = bench.job("no step goes on", bench.plan(1, n_first=_FIRST), rounds)
    going_on = {
        gates: bench.job(f"{gates} gates", bench.gated(gates, _OUT)[0], rounds)
        for gates in (_SHUT, _OPEN)
    }
    scored = bench.job("some are scored", bench.gated(_OPEN, _IN)[0], rounds)
    each = [*lookup_jobs, *itertools.chain(*kind_jobs.values())]
    alternate([*each, closed, *going_on.values(), scored], quiet=True)

    vectors = bench.n_windows / bench.isa.lanes
    lookup = slope(lookup_jobs, counts)
    kind = {size: slope(kind_jobs[size], kinds) / lookup for size in SIZES}
    # steps and vectors that go on, two equations
    shares, costs = [], []
    for gates, job in going_on.items():
        all_out = bench.isa.lanes * np.log1p(-bench.gated(gates, _OUT)[1])
        shares.append((-np.expm1(bench.isa.unroll * all_out), -np.expm1(all_out)))
        costs.append((job.least - closed.least) / lookup)
    step, vector = np.linalg.solve(np.array(shares), np.array(costs))
    passing = bench.gated(_OPEN, _OUT)[1]
    found = {
        "base": kind_jobs[1][0].least / lookup - kind[1] - GROUPS,
        **{f"kind of {size}": kind[size] for size in SIZES},
        "step": float(step),
        "vector": float(vector),
        "score": (scored.least - going_on[_OPEN].least) / lookup / (bench.isa.lanes * passing),
    }
    return lookup / vectors * 1e9, found


def print_constants(lookup: float, found: dict[str, float]) -> None:
    """What was measured, in ns and look-ups, beside what the planner takes it for."""
    in_force = {
        "base": plans._BASE,
        **{f"kind of {size}": plans._KIND for size in SIZES},
        "step": plans._STEP,
        "vector": plans._VECTOR + _REST * plans._REST,
        "score": plans._SCORE,
    }
    what = {
        "base": "transpose, and a step that no window passes",
        **{f"kind of {size}": f"keys of {size} position{'s' * (size > 1)}" for size in SIZES},
        "step": "a step of which some vector goes on after the first test, a vector's share",
        "vector": f"a vector that goes on, with {_REST} groups more",
        "score": "one window scored exactly (not: one vector)",
    }
    print(f"{'':12} {'ns':>8} {'look-ups':>9} {'in force':>9}")
    print(f"{'look-up':12} {lookup:8.3f} {1:9.1f} {1:9.1f}  the unit: one vector, one table")
    for name, cost in found.items():
        print(f"{name:12} {cost * lookup:8.3f} {cost:9.1f} {in_force[name]:9.1f}  {what[name]}")
    print()


def print_whole(bench: Bench, lookup: float, rounds: int) -> None:
    """The plan of the contest's logo at 10^9: the time foreseen, and the time it takes."""
    table = cost_table(read_logo(str(data_file("soundcloud.png"))))
    limit = table.law.closest(count_windows(10**9), 40)
    planner = Job(
        "plan",
        lambda: Planner(table.costs, bench.isa, thorough=True).plan(limit),
        bench.n_windows,
        rounds,
    )
    alternate([planner], quiet=True)
    plan = planner.answers[0]
    job = bench.job("whole", plan, rounds)
    alternate([job], quiet=True)
    vector = job.least / (bench.n_windows / bench.isa.lanes) * 1e9
    letters, kinds = len(plan.letters), len(plan.kinds)
    print(
        f"plan of the contest's logo, l1, for the best of 1e9 decimals: {letters} letters, {kinds}"
    )
    print(f"kinds, {len(plan.groups)} groups of {plan.group_size}, {plan.n_first} before the test;")
    print(f"{plan.passing:.1e} of random windows pass; planned in {1e3 * planner.median:.1f} ms;")
    print(f"foreseen {plan.effort:.1f} look-ups a vector, {plan.effort * lookup:.2f} ns;")
    print(f"measured {vector / lookup:.1f} look-ups a vector, {vector:.2f} ns,")
    print(f"which is {vector / bench.isa.lanes:.3f} s for 1e9 decimals with one thread")


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(1_000_000, 10**9), default=10**8, show_default="1e8",
              metavar="N", help="Random digits to run over, more than caches hold.")  # fmt: skip
@click.option("--repeat", type=click.IntRange(1, 10_000), default=15, show_default=True)
@click.option("--isa", type=click.Choice([isa.name for isa in available() if isa is not PLAIN]),
              default=None, help="Instruction set  [default: the best there is]")  # fmt: skip
def main(**options: Any) -> None:
    """Measure one instruction set."""
    kernel = load_kernel(options["isa"])
    if kernel.isa is PLAIN:
        click.echo("this processor has the plain loop only: it has no plans to choose", err=True)
        sys.exit(0)
    machine = describe()
    n = options["digits"]
    digits = aligned(n)
    digits[:] = np.random.default_rng(84).integers(ord("0"), ord("9") + 1, n, dtype=np.uint8)
    costs: NDArray[np.int32] = np.zeros((WINDOW, 16), dtype=np.int32)
    bench = Bench(kernel.isa, Task(kernel, costs), digits, count_windows(n))
    lookup, found = measure(bench, options["repeat"])
    print_machine(machine)
    print(f"{kernel.isa.name}: {kernel.isa.lanes} windows a vector; {n:,} random digits\n")
    print_constants(lookup, found)
    print_whole(bench, lookup, options["repeat"])


if __name__ == "__main__":
    run(main)
