"""Plots of the documents, each a function from results to a picture; matplotlib is imported late.

A picture carries a fingerprint of the results that it shows, so that `render.py --check` can tell,
without drawing, whether it is theirs.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean
from typing import TYPE_CHECKING, Any

from PIL import Image

from rendering.label_placement import ABOVE_OR_BELOW, SIDES, Placer
from rendering.result_files import Results, figure, power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind tell apart, darkened where type is set in them.
_OURS = "#c23e00"
_BLUE, _GREEN = "#0072b2", "#007a5a"
_COLOURS = {"pilogo": _OURS, "ivfpq": _BLUE, "ivfpqfs": _GREEN}
_OTHERS = "#5a5f66"
_INK = "#1f2328"
_GRID = "#e3e3e3"
_SIZE = (8.0, 5.0)  # inches
_DPI = 200
_KEY = "Results"
_LABEL: dict[str, Any] = {"fontsize": 11.5, "fontweight": "bold", "linespacing": 1.25}
_LARGEST = 3  # sizes that scale.py fits "of largest" exponents to
# The curves of the plot of growth: key, name, colour, seconds of a unit.
_GROWTH = (
    ("build_seconds", "build of the index", _BLUE, 1.0),
    ("scan_seconds", "exact scan", _GREEN, 1.0),
    ("index_ms_median", "question to the index", _OURS, 1e-3),
)


@dataclass(frozen=True)
class Plot:
    """A picture of the documents: docs/NAME.png, of benchmarks, the first of which it must have."""

    name: str
    benchmarks: tuple[str, ...]
    draw: Callable[[Results], "Figure"]
    says: str

    @property
    def file(self) -> Path:
        """Where it is, from the project's root."""
        return Path("docs") / f"{self.name}.png"

    def make(self, results: Results) -> str | None:
        """What stands between the markers of a document; None where nothing was measured."""
        if not results.has(self.benchmarks[0]):
            return None
        says = self.says.format(n=power(results.n))
        return f"![{says}]({self.file.as_posix()})\n\n*{results.note(self.benchmarks[0])}*"

    def save(self, results: Results, path: Path) -> None:
        """Draw it. ImportError where matplotlib is missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = {_KEY: self.fingerprint(results), "Software": "pilogo"}
        self.draw(results).savefig(path, dpi=_DPI, metadata=text)

    def is_of(self, results: Results, path: Path) -> bool:
        """Whether a picture is there and shows these results."""
        try:
            with Image.open(path) as picture:
                shown: str | None = picture.info.get(_KEY)
        except OSError:
            return False
        return shown == self.fingerprint(results)

    def fingerprint(self, results: Results) -> str:
        """Of all results that it shows, and of their size."""
        there = {name: results.whole(name) for name in self.benchmarks if results.has(name)}
        content = json.dumps([results.size, there], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Mark:
    """A way that has one time and misses nothing."""

    name: str
    ms: float
    colour: str
    extrapolated: bool = False


def marks(results: Results, metric: str) -> list[Mark]:
    """The exhaustive ways of the plot, by time: ours, the fastest C loop, FAISS's fastest."""
    found = [Mark("pilogo, exact scan", results.get("curves")["scan"]["ms_median"], _OURS)]
    rows = results.get("beside")["rows"] if results.has("beside") else []
    for start, name in (("c-", "plain C"), ("faiss", "FAISS flat")):
        ways = [r for r in rows if r["key"].startswith(start) and r.get("metric", metric) == metric]
        if ways:
            best = min(ways, key=lambda row: row["scaled"])
            threads = best["name"].rpartition(", ")[2]
            mark = Mark(f"{name}, {threads}", 1e3 * best["scaled"], _OTHERS, best["extrapolated"])
            found.append(mark)
    return sorted(found, key=lambda mark: mark.ms)


def front(points: Iterable[dict[str, Any]]) -> list[tuple[float, float]]:
    """(ms, recall) of the points that no other beats in both, by time."""
    best: list[tuple[float, float]] = []
    ordered = sorted((p["ms_median"], -p["recall"]) for p in points)
    for ms, negative in ordered:
        if not best or -negative > best[-1][1]:
            best.append((ms, -negative))
    return best


def _draw_recall(results: Results) -> "Figure":
    """Recall@10 against the time of a question: ours and theirs."""
    found = results.get("curves")
    paper, axes = _sheet(
        f"The ten closest of {power(results.n)} windows: how many are found, how soon",
        f"metric {found['metric']}, {found['n_logos']} logos that nothing was learned from, one at "
        f"a time; {found['bytes_per_window']} bytes a window each",
    )
    named = {way["key"]: way["name"] for way in found["ways"]} | {"pilogo": "pilogo, index"}
    colours = {named[key]: _COLOURS.get(key, _OTHERS) for key in named}
    curves = {named[way["key"]]: front(way["points"]) for way in found["ways"]}
    exact = marks(results, found["metric"])
    times = [ms for curve in curves.values() for ms, _ in curve] + [mark.ms for mark in exact]
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 2, max(times) * 8)
    axes.set_ylim(0, 1.25)
    axes.axhline(1, color=_INK, linewidth=0.8, zorder=1)
    for name, curve in curves.items():
        if curve:
            xs, ys = zip(*curve, strict=True)
            axes.plot(xs, ys, "o-", color=colours[name], linewidth=2.4, markersize=5, zorder=3)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.set_ylabel("recall@10")
    axes.set_xlabel("time of one question, median")
    axes.xaxis.set_major_formatter(lambda ms, _: _time(ms / 1e3))
    line = [(min(times) / 2, 1.0), (max(times) * 8, 1.0)]
    placer = Placer(axes, [*curves.values(), line])
    for mark in exact:
        filled = "white" if mark.extrapolated else mark.colour
        axes.plot([mark.ms], [1], "D", color=mark.colour, mfc=filled, markersize=9, zorder=6)
        text = f"{mark.name}\n{_time(mark.ms / 1e3)}{', extrapolated' * mark.extrapolated}"
        placer.put(text, [(mark.ms, 1)], ABOVE_OR_BELOW, color=mark.colour, **_LABEL)
    for name, curve in curves.items():
        middle_first = sorted(curve, key=lambda point: abs(point[1] - 0.5))
        placer.put(name, middle_first, SIDES, color=colours[name], **_LABEL)
    return paper


def _draw_scale(results: Results) -> "Figure":
    """Seconds against n on two logarithmic axes, with the exponents."""
    found = results.get("scale")
    exponents = found.get("exponents_of_largest") or found["exponents"]
    n_fitted = _LARGEST if found.get("exponents_of_largest") else len(found["rows"])
    paper, axes = _sheet(
        f"Time against the number of decimals, up to {power(results.n)}",
        f"dashed: the power of n that fits the largest {n_fitted} sizes; small ones are overhead",
    )
    axes.set_position((0.105, 0.125, 0.6, 0.7))
    axes.set_xscale("log")
    axes.set_yscale("log")
    for key, name, colour, unit in _GROWTH:
        curve = [(row["n"], unit * row[key]) for row in found["rows"] if row.get(key)]
        if len(curve) < 2:
            continue
        xs, ys = zip(*curve, strict=True)
        axes.plot(xs, ys, "o-", color=colour, markersize=7, linewidth=1, alpha=0.35, zorder=2)
        axes.plot(xs, ys, "o", color=colour, markersize=7, zorder=4)
        said = f"{name}\n{_time(ys[-1])} at {power(xs[-1])}"
        if exponents.get(key) is not None:
            fitted = xs[-n_fitted:]
            middle, height = geometric_mean(fitted), geometric_mean(ys[-n_fitted:])
            line = [height * (x / middle) ** exponents[key] for x in fitted]
            axes.plot(fitted, line, "--", color=colour, linewidth=2.2, zorder=3)
            said += f", {_power_law(exponents[key])}"
        axes.annotate(
            said, (xs[-1], ys[-1]), (12, 0), textcoords="offset points", color=colour,
            va="center", annotation_clip=False, **_LABEL,
        )  # fmt: skip
    axes.set_xlabel("decimals")
    axes.xaxis.set_major_formatter(lambda n, _: power(n))
    axes.yaxis.set_major_formatter(lambda seconds, _: _time(seconds))
    return paper


def _power_law(exponent: float) -> str:
    """n^0.83 as matplotlib sets it."""
    return rf"$\mathbf{{n^{{{exponent:.2f}}}}}$"


def _sheet(title: str, subtitle: str) -> tuple["Figure", "Axes"]:
    """A white card with a title, a line under it, and axes."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - of the extra `bench`

    paper = Figure(figsize=_SIZE, facecolor="white")
    axes = paper.add_axes((0.095, 0.125, 0.87, 0.7))
    paper.text(0.025, 0.945, title, fontsize=15, fontweight="bold", color=_INK, va="center")
    paper.text(0.025, 0.887, subtitle, fontsize=10.5, color=_OTHERS, va="center")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#8a8f96")
    axes.grid(True, color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=11, colors=_INK, which="major")
    axes.tick_params(which="minor", length=0)
    axes.xaxis.label.set(size=12, color=_INK)
    axes.yaxis.label.set(size=12, color=_INK)
    return paper, axes


def _time(seconds: float) -> str:
    """Seconds in the unit that gives a small number: 90 µs, 1.2 ms, 12 s, 2.1 min."""
    for unit, size in (("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= (2 * size if unit == "min" else size) * (1 - 1e-9):
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds / 1e-6)} µs"


def _short(value: float) -> str:
    """Two figures, without zeros behind the point."""
    text = figure(value, 2)
    return text.rstrip("0").rstrip(".") if "." in text else text


PLOTS = {
    f"plot-{plot.name}": plot
    for plot in (
        Plot(
            "recall-time",
            ("curves", "beside"),
            _draw_recall,
            "Recall against the time of a question in {n} decimals: pilogo and FAISS",
        ),
        Plot(
            "scale",
            ("scale",),
            _draw_scale,
            "Time of scan, question and build against the number of decimals, up to {n}",
        ),
    )
}
