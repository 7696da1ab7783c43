"""Tables of the documents: each a small function from results to Markdown.

    TABLES["scan"].make(Results(folder, "1e9"))    # what stands between the markers

A function raises KeyError where a result lacks what its table shows.
"""

import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from query.finder import MISSED
from rendering.result_files import Results, figure, markdown, paragraph, power, ratio, share

_SETS = {
    "avx512vbmi": "AVX-512 VBMI",
    "avx512bw": "AVX-512 BW",
    "avx2": "AVX2",
    "ssse3": "SSSE3",
    "neon": "NEON",
    "plain": "the plain loop",
}
# Recalls at which the times of different ways are compared.
_TARGETS = (0.5, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999)


@dataclass(frozen=True)
class Table:
    """A table: the benchmark it is made of, its text without the note, and others that it needs."""

    benchmark: str
    body: Callable[[Results], str]
    also: tuple[str, ...] = ()

    def make(self, results: Results) -> str | None:
        """The table and a line that says where it is from; None where nothing was measured."""
        if not all(map(results.has, (self.benchmark, *self.also))):
            return None
        return f"{self.body(results)}\n\n*{results.note(self.benchmark)}*"


# The exhaustive ways that stand in the README: the fastest of each kind.
_FASTEST = ("c-table-2", "c-difference-2", "numba-2", "numpy-2", "faiss-2", "pilogo-1", "pilogo-2")


def _summary(results: Results) -> str:
    """What an answer costs: exhaustive ways beside the scan, the scan beside the index."""
    beside = [row for row in results.get("beside")["rows"] if row["metric"] == "l1"]
    ways = {row["key"]: row for row in beside}
    lines = []
    for key in (key for key in _FASTEST if key in ways):
        row = ways[key]
        mark = "\\*" if row["extrapolated"] else ""
        name = row["name"].replace("d - r", "d − r")
        seconds, times = f"{figure(row['scaled'], 2)} s{mark}", ratio(row["ratio"])
        bold = "**" if key == "pilogo-2" else ""
        lines.append([f"{bold}{name}{bold}", f"{bold}{seconds}{bold}", times, "all, proven"])
    found = results.get("index")
    verified = {(row["metric"], row["missed"]): row for row in found["verify"]["rows"]}
    for row in found["speed"]["all"]:
        seen = verified[row["metric"], row["missed"]]
        if row["metric"] == "l1":
            asked = "" if row["missed"] == MISSED else f", `--missed {row['missed']:g}`"
            name = f"**pilogo's index{asked}**, median (95 % within)"
            time = f"**{figure(row['ms'][1], 2)} ms** ({figure(row['ms'][4], 2)})"
            times = f"1/{ratio(seen['scan_ms_median'] / row['ms'][1])}"
            lines.append([name, time, times, f"{100 * seen['recall']:.2f} %"])
    sizes = found["logos"]
    said = (
        "Metric l1. Exhaustive ways: the SoundCloud logo, in turns in one run. The index: all "
        f"{sizes['all']:,} logos that nothing was learned from; its recall is of the "
        f"{sizes['hard']:,} hardest, each compared with a scan in the same run. \\* scaled from a "
        "part."
    )
    heading = ["", "time", "× the exact scan", "finds of the true ten"]
    return f"{markdown(heading, lines)}\n\n{paragraph(said)}"


def _scan(results: Results) -> str:
    """Every row of scan.py, and what follows of them."""
    rows = results.get("scan")["rows"]
    n = results.whole("scan")["arguments"]["digits"]
    kinds = [key for key in rows if key in _SETS]
    lines = []
    for key, row in rows.items():
        name, scale = row["name"].replace("d - r", "d − r"), n / row["digits"]
        if key == kinds[0]:  # what `scan` runs by itself
            continue
        if key in _SETS:
            name = name.replace(key, _SETS[key])
        if key == "scan":
            name = f"**{name} ({_SETS[kinds[0]]})**"
        if key.endswith("loop"):
            name += ", 1 thread"
        if scale != 1:
            name += f" (scaled from {power(row['digits'])})"
        median = figure(scale * row["median"])
        lines.append(
            [name, f"**{median}**" if key == "scan" else median, figure(scale * row["min"])]
        )
    return f"{markdown(['', 'median s', 'min s'], lines)}\n\n{paragraph(_say_scan(rows))}"


def _say_scan(rows: dict[str, Any]) -> str:
    """The claims about the scan, in a sentence."""
    scan = rows["scan"]["median"]
    said = [f"A scan is {ratio(scan / rows['read']['median'])} reads of the bytes"]
    if "l1 loop" in rows:
        times = ratio(rows["l1 loop"]["median"] / scan)
        said.append(f"{times} times faster than the C loop that gcc turns into vector code")
    times = ratio(rows["table loop"]["median"] / scan)
    return f"{', '.join(said)}, and {times} times faster than the one that serves any cost table."


def _together(results: Results) -> str:
    """A batch of bitmaps in scans, and what they would take one by one."""
    lines = []
    for row in results.get("together")["rows"]:
        together = statistics.median(row["together_seconds"])
        lines.append(
            [
                row["metric"],
                str(row["bitmaps"]),
                figure(statistics.median(row["alone_seconds"])),
                figure(together),
                figure(row["scans"]),
                ratio(row["bitmaps"] / row["scans"]),
            ]
        )
    heading = [
        "metric",
        "bitmaps",
        "one by one, s",
        "together, s",
        "in single scans",
        "times faster",
    ]
    return markdown(heading, lines)


def _startup(results: Results) -> str:
    """Whole processes."""
    whole = results.whole("startup")
    size = power(whole["arguments"]["digits"])
    names = {
        "python": "`python -c pass`",
        "help": "`pilogo --help`",
        "find 1e7": "`pilogo find`, 10⁷ decimals",
        "find": f"`pilogo find`, {size} decimals",
        "compile": "a process that compiles the scan",
        "numba": "a process that loads one cached numba function",
    }
    lines = [
        [names[row["key"]], figure(row["median"], 2), figure(min(row["seconds"]), 2)]
        for row in whole["results"]["rows"]
    ]
    return markdown(["", "median s", "min s"], lines)


def _index_speed(results: Results) -> str:
    """Times of all held-out logos; the contest's logo; the shell."""
    found = results.get("index")
    lines = []
    for row in found["speed"]["all"]:
        _, median, high, _, highest = (figure(value, 2) for value in row["ms"])
        times = [median, high, highest, figure(row["mean_ms"], 2)]
        lines.append([row["metric"], f"{row['missed']:g}", *times, str(row["by_scan"])])
    heading = ["metric", "`--missed`", "median", "75 %", "95 %", "mean", "by a scan"]
    hard = found["speed"]["hard"]
    medians, tails = sorted(row["ms"][1] for row in hard), sorted(row["ms"][4] for row in hard)
    shell = found["shell"]
    logo = [
        f"{row['metric']} at {row['missed']:g} {figure(row['ms'], 2)} ms ({row['found']} of 10"
        f"{', by a scan' if row['mode'] == 'scan' else ''})"
        for row in found["soundcloud"]
    ]
    said = (
        f"Milliseconds, {found['logos']['all']:,} held-out logos, scans included where the planner "
        f"preferred one. The {found['logos']['hard']:,} of them that differ from every logo "
        "learned from by more than half a shade a pixel are harder: medians of "
        f"{figure(medians[0], 2)} to {figure(medians[-1], 2)} ms, 95th percentiles of "
        f"{figure(tails[0], 2)} to {figure(tails[-1], 2)}. SoundCloud's logo: {', '.join(logo)}. "
        f"A cold start from the shell takes {figure(shell['cold_start'], 2)} s. A stream on "
        f"standard input of {shell['stream_logos']} of the hard logos runs at "
        f"{figure(shell['stream_per_second'], 2)} a second, start included; "
        f"{shell['stream_by_scan']} of them by a scan."
    )
    return f"{markdown(heading, lines)}\n\n{paragraph(said)}"


def _index_recall(results: Results) -> str:
    """Answers of the hard logos, each compared with a scan."""
    verified = results.get("index")["verify"]
    lines = [
        [
            "both" if row["metric"] == "all" else row["metric"],
            f"{row['missed']:g}",
            share(row["recall"]),
            _misses(row["expected"]),
            f"{row['seen']} ({figure(row['seen_low'], 2)}–{figure(row['seen_high'], 2)})",
            f"{figure(row['windows_median'], 2)}, {figure(row['windows_p95'], 2)}",
        ]
        for row in (*verified["rows"], *verified["totals"])
    ]
    heading = ["metric", "`--missed`", "recall@10", "misses expected", "seen (95 % of its mean)"]
    return markdown([*heading, "windows looked at: median, 95 %"], lines)


def _beside(results: Results) -> str:
    """Every exhaustive way, both metrics side by side."""
    rows = results.get("beside")["rows"]
    of_metric = Counter(row["metric"] for row in rows)
    metrics = list(of_metric)
    ways: dict[str, dict[str, Any]] = {}
    # In the order of the metric that has most of them.
    for row in sorted(rows, key=lambda row: -of_metric[row["metric"]]):
        ways.setdefault(row["key"], {})[row["metric"]] = row
    lines = []
    for by_metric in ways.values():
        there = [by_metric[metric] for metric in metrics if metric in by_metric]
        cells = [_join_names([row["name"] for row in there])]
        for metric in metrics:
            row = by_metric.get(metric)
            cells += [f"{figure(row['scaled'])}", ratio(row["ratio"])] if row else ["–", "–"]
        row = next(iter(by_metric.values()))
        measured = power(row["digits"]) + (", scaled" if row["extrapolated"] else "")
        lines.append([*cells, measured])
    heading = ["", *(text for metric in metrics for text in (f"{metric}, s", "× the scan"))]
    wrong = [row["name"] for row in rows if not row["same_answer"]]
    said = "Every way gave the same answer." if not wrong else f"ANSWERS DIFFER: {', '.join(wrong)}"
    return f"{markdown([*heading, 'measured over'], lines)}\n\n{paragraph(said)}"


def _curves(results: Results) -> str:
    """The least milliseconds a question at which each way has a recall, by metric."""
    found = results.get("curves")
    parts = [(found["metric"], found)] + ([("l1", found["l1"])] if found.get("l1") else [])
    ways = {way["key"]: way["name"] for _, part in parts for way in part["ways"]}
    lines = []
    for metric, part in parts:
        curves = {way["key"]: way["points"] for way in part["ways"]}
        scan = figure(part["scan"]["ms_median"])
        for target in _TARGETS:
            times = [reach(curves.get(key, []), target) for key in ways]
            lines.append([metric, f"{target:g}", *(figure(ms) for ms in times), scan])
    built = [way.get("build_seconds") for way in found["ways"]]
    said = [
        f"{way['name']}: {figure(seconds / 60, 2)} minutes"
        for way, seconds in zip(found["ways"], built, strict=True)
        if seconds
    ]
    heading = ["metric", "recall@10 at least", *(f"{name}, ms" for name in ways.values())]
    table = markdown([*heading, "pilogo's scan, ms"], lines)
    logos = f"Medians of {found['n_logos']} held-out logos, each way at its best settings"
    many = f"{found['bytes_per_window']} bytes a window each"
    built_in = f" Built in: {'; '.join(said)}." if said else ""
    return f"{table}\n\n{paragraph(f'{logos}; {many}.{built_in}')}"


def reach(points: list[dict[str, Any]], target: float) -> float | None:
    """The least median time of a point that has this recall; None where none has."""
    return min((p["ms_median"] for p in points if p["recall"] >= target), default=None)


def _ablation(results: Results) -> str:
    """What each part of the index buys."""
    found = results.get("ablation")
    lines = [
        [
            f"**{row['name']}**" if row["key"] == "full" else row["name"],
            row["metric"],
            _pair(row.get("ms_median"), row.get("ms_p95")),
            _pair(row.get("windows_median"), row.get("windows_p95")),
            _pair(row.get("candidates_median"), row.get("candidates_p95")),
            share(row["recall"]),
            *(_optional(row.get(f"ratio_{key}")) for key in ("ms_median", "windows_median")),
        ]
        for row in found["rows"]
    ]
    heading = ["", "metric", "ms", "windows looked at", "scored", "recall@10"]
    table = markdown([*heading, "ms, × as it is", "windows, ×"], lines)
    said = (
        f"Medians and 95th percentiles of {found['n_logos']} held-out logos, `--missed "
        f"{found['missed']:g}`, always by the index; the ratios are over the questions that both "
        "indexes answered, asked in turns."
    )
    few = [
        f"{row['name']}, {row['metric']}: {row['asked']} asked, {row['none']} without an answer"
        for row in found["rows"]
        if row["none"] or row["asked"] < found["n_logos"]
    ]
    if few:
        said += f" Fewer were asked, or not all were answered: {'; '.join(few)}."
    return f"{table}\n\n{paragraph(said)}"


def _pair(median: float | None, high: float | None) -> str:
    return "–" if median is None else f"{figure(median, 2)}, {figure(high, 2)}"


def _optional(value: float | None) -> str:
    return "–" if value is None else ratio(value)


def _scale(results: Results) -> str:
    """Time and work by n, with exponents."""
    found = results.get("scale")
    columns = {
        "scan_seconds": "scan, s",
        "index_ms_median": "question, ms",
        "lists": "lists",
        "windows_touched": "windows looked at",
        "candidates": "scored",
        "build_seconds": "build, s",
    }
    lines = [
        [power(row["n"]), *(figure(row.get(key), 2) for key in columns)] for row in found["rows"]
    ]
    fits = {
        "**grows as n to the**": found["exponents"],
        "of the largest three sizes": found.get("exponents_of_largest"),
    }
    for name, fit in fits.items():
        if fit:
            cells = [f"{fit[key]:.2f}" if fit.get(key) is not None else "–" for key in columns]
            lines.append([name, *cells])
    return markdown(["n", *columns.values()], lines)


def _misses(value: float) -> str:
    return figure(value, 2 if value < 10 else 3)


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count != 1)}"


def _join_names(names: list[str]) -> str:
    """Names that differ in a part between commas as one: "loop, a or b, 1 thread"."""
    parts = [name.split(", ") for name in names]
    if len({len(part) for part in parts}) > 1:
        return " / ".join(dict.fromkeys(names))
    return ", ".join(" or ".join(dict.fromkeys(part)) for part in zip(*parts, strict=True))


TABLES = {
    "summary": Table("beside", _summary, also=("index",)),
    "scan": Table("scan", _scan),
    "together": Table("together", _together),
    "startup": Table("startup", _startup),
    "index-speed": Table("index", _index_speed),
    "index-recall": Table("index", _index_recall),
    "beside": Table("beside", _beside),
    "curves": Table("curves", _curves),
    "ablation": Table("ablation", _ablation),
    "scale": Table("scale", _scale),
}
