"""Verification: many logos asked of the index, each answer held against an exact scan.

An answer from the index says how many of the true top it is expected to lack (query/calibration.py:
the lost are one part of a Poisson process). Over many logos the sum of these expectations is the
mean of a Poisson count, and a scan shows the count itself. Three claims are judged for each metric
and each `missed` that was allowed:

    calibration  the count seen is compatible with a factor of 2 of what was expected
    recall       the count seen is not significantly above what was allowed
    agreement    no answer contradicts the scan

Example: 100 logos, 0.1 allowed each. Expected are 4.2 misses, seen are 9: the mean of such a count
is between 2.2 and 23.7 (99.9 %), which meets 2.1 to 8.4, so the calibration holds; 9 or more
are no surprise where 10 are allowed, so the recall holds.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.errors import ClaimFailed, UsageError
from indexer.home import pilogo_command, short_count
from indexer.progress import Progress, Step, silent
from indexer.window import HEIGHT, WIDTH

if TYPE_CHECKING:
    from query.answer import Answer
    from query.finder import Finder

EVERY_METRIC = "all"
CLAIMS = ("calibration", "recall", "agreement")
# The interval that is shown, and the chance at which a claim that is true is called false.
CONFIDENCE = 0.95
SIGNIFICANCE = 0.001
FACTOR = 2.0
# Failed claims that an error names; the table has all of them.
_MOST_NAMED = 3


class Interval(NamedTuple):
    """Both ends of an interval of the mean of a count."""

    low: float
    high: float


class Spread(NamedTuple):
    """The median and the 95th percentile of some values."""

    median: float
    p95: float


def chance_at_most(count: int, mean: float) -> float:
    """P(X <= count) for a Poisson variable of that mean.

    Summed outwards from the largest term, so that nothing overflows; O(√mean).
    """
    if count < 0 or mean <= 0:
        return 0.0 if count < 0 else 1.0
    middle = min(count, int(mean))
    peak = math.exp(middle * math.log(mean) - mean - math.lgamma(middle + 1))
    total = term = peak
    for k in range(middle, 0, -1):
        term *= k / mean
        total += term
        if term <= total * 1e-17:
            break
    term = peak
    for k in range(middle + 1, count + 1):
        term *= mean / k
        total += term
        if term <= total * 1e-17:
            break
    return min(total, 1.0)


def poisson_interval(count: int, confidence: float = CONFIDENCE) -> Interval:
    """The exact interval of a Poisson variable's mean, of which one count was seen.

    Source: Garwood 1937, "Fiducial limits for the Poisson distribution": each end is the mean at
    which a count this far out has half of 1 - confidence left. His quantiles of χ² are the same
    numbers; here they are found by halving. 10 seen: 4.795 to 18.39 with 95 %.
    """
    rest = (1 - confidence) / 2
    low = 0.0 if count == 0 else _mean_where(count - 1, 1 - rest, 0.0, float(count))
    far = count + 10.0
    while chance_at_most(count, far) > rest:
        far *= 2
    return Interval(low, _mean_where(count, rest, float(count), far))


def _mean_where(count: int, chance: float, low: float, high: float) -> float:
    """The mean from low to high at which P(X <= count), which falls with it, is that chance."""
    for _ in range(60):
        middle = (low + high) / 2
        if chance_at_most(count, middle) > chance:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@dataclass(frozen=True)
class Question:
    """One logo asked once, and what the scan says of the answer.

    n_true matches are true; n_missed of them the answer lacks, n_wrong of its matches cannot be.
    seconds and scan_seconds are what the answer and the scan took.
    """

    metric: str
    missed: float
    by_index: bool
    expected: float
    n_true: int
    n_missed: int
    n_wrong: int
    windows: int
    seconds: float
    scan_seconds: float


@dataclass(frozen=True)
class Row:
    """All questions of one metric (or EVERY_METRIC) with one `missed`.

    Answers by a scan, where the planner preferred one, are answers too: they miss nothing, and
    their time counts. by_index counts the others. n_missed is the misses seen, n_wrong the matches
    that contradict the scan. speedup is the median of scan_seconds / seconds, question by question.
    """

    metric: str
    missed: float
    n_questions: int
    by_index: int
    n_true: int
    n_missed: int
    n_wrong: int
    expected: float
    windows: Spread | None
    seconds: Spread | None
    scan_seconds: float
    speedup: float | None

    @property
    def by_scan(self) -> int:
        """Questions for which the planner preferred a scan."""
        return self.n_questions - self.by_index

    @property
    def recall(self) -> float | None:
        """The share of the true matches that the index found."""
        return 1 - self.n_missed / self.n_true if self.n_true else None

    @cached_property
    def interval(self) -> Interval:
        """Of the mean of the misses seen, with CONFIDENCE."""
        return poisson_interval(self.n_missed)

    @cached_property
    def wide_interval(self) -> Interval:
        """The same with 1 - SIGNIFICANCE: what the calibration is judged by."""
        return poisson_interval(self.n_missed, 1 - SIGNIFICANCE)

    @property
    def ratio(self) -> float | None:
        """Misses seen to misses expected."""
        return self.n_missed / self.expected if self.expected else None

    @property
    def allowed(self) -> float:
        """Misses that `missed` allows."""
        return self.by_index * self.missed

    @cached_property
    def claims(self) -> dict[str, bool | None]:
        """Whether each of CLAIMS holds; None where the index answered nothing, and in totals.

        A total is not judged: what one logo misses by two metrics is not independent.
        """
        if self.metric == EVERY_METRIC:
            return dict.fromkeys(CLAIMS)
        low, high = self.wide_interval
        calibrated = low <= FACTOR * self.expected and high >= self.expected / FACTOR
        # chance_at_most is rounded at 10^-16, far below the significance
        surprise = 1 - chance_at_most(self.n_missed - 1, self.allowed)
        asked = self.by_index > 0
        return {
            "calibration": calibrated if asked else None,
            "recall": surprise >= SIGNIFICANCE if asked else None,
            "agreement": self.n_wrong == 0,
        }

    def describe_failure(self, claim: str) -> str:
        """The values that make a claim fail, in a few words without a comma."""
        name = f"{self.metric} at {self.missed:g}"
        if claim == "calibration":
            low, high = self.wide_interval
            percent = f"{100 * (1 - SIGNIFICANCE):g} %"
            return (
                f"{name}: expected {self.expected:.3g} missed and saw {self.n_missed} "
                f"({low:.3g} to {high:.3g} with {percent})"
            )
        if claim == "recall":
            return (
                f"{name}: allowed {self.allowed:.3g} missed in {self.by_index} answers "
                f"and saw {self.n_missed}"
            )
        return f"{name}: {self.n_wrong} matches contradict the scan"


@dataclass(frozen=True)
class Verification:
    """What a run of `verify` found: a row for each metric and `missed`, totals for each `missed`.

    totals is empty where there was one metric; they are shown and not judged.
    """

    constant: str
    digits: int
    top: int
    n_logos: int
    rows: tuple[Row, ...]
    totals: tuple[Row, ...]

    @property
    def n_by_index(self) -> int:
        """Questions that the index answered."""
        return sum(row.by_index for row in self.rows)

    def failures(self) -> list[tuple[str, str]]:
        """(claim, the values that make it fail) of every claim that does not hold."""
        return [
            (claim, row.describe_failure(claim))
            for row in self.rows
            for claim in CLAIMS
            if row.claims[claim] is False
        ]

    def raise_failed(self, home: Path) -> None:
        """ClaimFailed if any claim does not hold, with the values and what to do next."""
        failures = self.failures()
        if not failures:
            return
        n_claims = sum(ok is not None for row in self.rows for ok in row.claims.values())
        named = "; ".join(f"{claim}, {said}" for claim, said in failures[:_MOST_NAMED])
        more = "; …" if len(failures) > _MOST_NAMED else ""
        fail = "fails" if len(failures) == 1 else "fail"
        rebuild = f"build --digits {short_count(self.digits)} --replace"
        raise ClaimFailed(
            f"{len(failures)} of {n_claims} claims {fail}: {named}{more}; "
            f"next: {pilogo_command(rebuild, self.constant, home)}"
        )


def verify(
    finder: "Finder",
    pictures: NDArray[np.uint8],
    metrics: Sequence[str] = ("l1", "l2"),
    missed: Sequence[float] = (1.0, 0.1, 0.01),
    top: int = 10,
    progress: Progress = silent,
) -> Verification:
    """Ask the index for every picture, metric and `missed`, and compare with exact scans.

    pictures is uint8[k, 84] or uint8[k, 6, 14], k >= 1; what is named twice is asked once. Each
    picture is scanned once a metric; the first is asked before, unmeasured, both ways: that
    compiles the routines and opens the index. One stage of progress, "verify", in questions. Raises
    UsageError for arguments that the finder refuses. O(len(pictures) · len(metrics)) scans.
    """
    metrics, missed = tuple(dict.fromkeys(metrics)), tuple(dict.fromkeys(missed))
    wrong = [value for value in missed if not 0 < value < math.inf]
    if wrong:
        raise UsageError(f"missed is {wrong[0]}; allowed are numbers above 0")
    if not (metrics and missed and len(pictures)):
        raise UsageError("nothing to verify: there must be a picture, a metric and a missed")
    bitmaps = pictures.reshape(-1, HEIGHT, WIDTH)
    total = len(bitmaps) * len(metrics) * (1 + len(missed))
    progress(Step("verify", 0, total, "questions"))
    for metric in metrics:  # an unknown one is refused here
        finder.find(bitmaps[0], metric=metric, top=top, exact=True)
        finder.find(bitmaps[0], metric=metric, top=top, missed=missed[0])
    questions: list[Question] = []
    done = 0
    for number, bitmap in enumerate(bitmaps):
        # What one question has read is in the caches for the next: each is first in turn.
        first = number % len(missed)
        for metric in metrics:
            truth = finder.find(bitmap, metric=metric, top=top, exact=True)
            done += 1
            progress(Step("verify", done, total, "questions"))
            for allowed in missed[first:] + missed[:first]:
                answer = finder.find(bitmap, metric=metric, top=top, missed=allowed)
                questions.append(_compare(answer, truth, metric, allowed))
                done += 1
                progress(Step("verify", done, total, "questions"))
    return Verification(
        constant=finder.constant,
        digits=finder.digits,
        top=top,
        n_logos=len(bitmaps),
        rows=tuple(_row(questions, (name,), allowed) for name in metrics for allowed in missed),
        totals=tuple(_row(questions, metrics, allowed) for allowed in missed)
        if len(metrics) > 1
        else (),
    )


def _compare(answer: "Answer", truth: "Answer", metric: str, missed: float) -> Question:
    """What the scan's answer says of another answer to the same question.

    A match is wrong where its distance is not the scan's, or where it should be in the scan's
    answer and is not; a miss is wrong too in an answer that is certified.
    """
    distances = {match.offset: match.distance for match in truth.matches}
    worst = max(((m.distance, m.offset) for m in truth.matches), default=(-math.inf, 0))
    found = {match.offset for match in answer.matches}
    n_missed = len(distances.keys() - found)
    n_wrong = len(answer.matches) - len(found)  # a window that is named twice
    for match in answer.matches:
        if match.offset in distances:
            n_wrong += match.distance != distances[match.offset]
        else:
            n_wrong += (match.distance, match.offset) < worst
    by_index = answer.mode == "index"
    return Question(
        metric=metric,
        missed=missed,
        by_index=by_index,
        expected=answer.expected_missed,
        n_true=len(distances),
        n_missed=n_missed,
        n_wrong=n_wrong + (n_missed if answer.certified else 0),
        windows=answer.windows,
        seconds=answer.seconds,
        scan_seconds=truth.seconds,
    )


def _row(questions: Iterable[Question], metrics: Sequence[str], missed: float) -> Row:
    """The questions of these metrics with one `missed`, added up."""
    asked = [q for q in questions if q.metric in metrics and q.missed == missed]
    indexed = [q for q in asked if q.by_index]
    ratios = [q.scan_seconds / max(q.seconds, 1e-9) for q in asked]
    return Row(
        metric=metrics[0] if len(metrics) == 1 else EVERY_METRIC,
        missed=missed,
        n_questions=len(asked),
        by_index=len(indexed),
        n_true=sum(q.n_true for q in asked),
        n_missed=sum(q.n_missed for q in asked if q.by_index),
        n_wrong=sum(q.n_wrong for q in asked),
        expected=math.fsum(q.expected for q in indexed),
        windows=_spread([q.windows for q in asked]),
        seconds=_spread([q.seconds for q in asked]),
        scan_seconds=float(np.median([q.scan_seconds for q in asked])),
        speedup=float(np.median(ratios)) if ratios else None,
    )


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    median, p95 = np.percentile(values, [50, 95]).tolist()
    return Spread(median, p95)
