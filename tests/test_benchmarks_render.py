"""Tables and plots of the documents, from results that are made up here and nowhere else."""

import json
import re
import shutil
from pathlib import Path

import pytest
import render
from click.testing import CliRunner

from indexer.errors import InputError
from measuring import record
from rendering.result_files import Results, figure, markdown, power, ratio, share, short_commit
from rendering.result_plots import PLOTS, front, marks
from rendering.result_tables import TABLES, reach

ROOT = Path(__file__).parent.parent
MACHINE = {
    "processor": "Abacus, family 1",
    "threads usable": "2",
    "memory": "1.0 GB",
    "commit": "1a2b3c4d5e6f7a8b",
}


def timed(name, median, n=10**9):
    return {"name": name, "digits": n, "seconds": [median], "median": median, "min": 0.9 * median}


def scan_results():
    rows = {
        "read": timed("read, 2 threads", 0.02),
        "table loop": timed("C loop, cost table", 12.0),
        "l1 loop": timed("C loop, |d - r|", 8.0),
        "scan alone": timed("scan, 1 thread", 0.2),
        "scan": timed("scan, 2 threads", 0.1),
        "avx2": timed("scan by avx2, 2 threads", 0.15),
        "plain": timed("scan by plain, 2 threads", 0.16, 2 * 10**7),
    }
    return {"rows": rows, "claims": [], "as_asked": True, "wrong": []}


def together_results():
    row = {"metric": "l1", "alone_seconds": [8.0, 7.9, 8.2], "together_seconds": [4.6, 4.8, 4.7]}
    row |= {"bitmaps": 100, "scan": 0.08, "scans": 58.75, "same": True, "asked": 40}
    return {"rows": [row, row | {"metric": "l2"}]}


def startup_results():
    rows = [
        {"key": key, "name": key, "seconds": [0.4, 0.5, 0.6], "median": 0.5, "asked": None}
        for key in ("python", "help", "find 1e7", "find", "compile")
    ]
    return {"rows": rows}


def index_results():
    speed = [
        {"metric": m, "missed": e, "ms": [1.0, 1.8, 3.0, 9.0, 27.0], "mean_ms": 6.9, "by_scan": 4}
        for m in ("l1", "l2")
        for e in (0.1, 0.01)
    ]
    rows = [
        {
            "metric": m,
            "missed": e,
            "recall": 0.99896,
            "expected": 23.51,
            "seen": 19,
            "seen_low": 11.2,
            "seen_high": 30,
            "windows_median": 1_200_000,
            "windows_p95": 220_000_000,
            "scan_ms_median": 72.0,
        }
        for m in ("l1", "l2")
        for e in (1, 0.1, 0.01)
    ]
    logo = {"mode": "index", "found": 10, "ms": 14.2, "windows": 1, "candidates": 1}
    return {
        "n": 10**9,
        "logos": {"hard": 482, "all": 1059},
        "verify": {"rows": rows, "totals": [rows[0] | {"metric": "all"}]},
        "speed": {"all": speed, "hard": speed},
        "soundcloud": [
            logo | {"metric": m, "missed": e} for m in ("l1", "l2") for e in (0.1, 0.01)
        ],
        "shell": {
            "cold_start": 0.45,
            "stream_logos": 200,
            "stream_per_second": 44.0,
            "stream_by_scan": 7,
        },
    }


def beside_row(key, name, scaled, **more):
    row = {"key": key, "name": name, "metric": "l2", "digits": 10**9, "seconds": [scaled]}
    row |= {"median": scaled, "scaled": scaled, "extrapolated": False, "ratio": scaled / 0.1}
    return row | {"same_answer": True, "note": ""} | more


def beside_results():
    return {
        "n": 10**9,
        "rows": [
            beside_row("pilogo-2", "pilogo's scan, 2 threads", 0.1, metric="l1"),
            beside_row("c-difference-2", "C loop, |d - r|, 2 threads", 4.2, metric="l1"),
            beside_row("pilogo-2", "pilogo's scan, 2 threads", 0.1),
            beside_row("c-difference-2", "C loop, (d - r)^2, 2 threads", 4.9),
            beside_row("c-table-1", "C loop, cost table, 1 thread", 12.0),
            beside_row(
                "faiss-2", "FAISS IndexFlat, 2 threads", 47.0, digits=10**7, extrapolated=True
            ),
        ],
    }


def curve(key, name, pairs, seconds=None):
    points = [{"ms_median": ms, "recall": r, "label": ""} for ms, r in pairs]
    return {"key": key, "name": name, "build_seconds": seconds, "points": points}


def curves_results():
    ours = [(0.7, 0.31), (0.9, 0.62), (1.4, 0.87), (2.2, 0.96), (4.5, 0.995), (9.0, 0.9991)]
    ivf = [(1.1, 0.08), (4, 0.2), (16, 0.45), (60, 0.7), (240, 0.84), (900, 0.9)]
    fast = [(0.8, 0.03), (2, 0.08), (6, 0.17), (20, 0.3), (110, 0.41)]
    ways = [
        curve("pilogo", "pilogo", ours),
        curve("ivfpq", "FAISS IVF4096,PQ6x8", ivf, 600.0),
        curve("ivfpqfs", "FAISS IVF4096,PQ12x4fs", fast, 300.0),
    ]
    common = {"n": 10**9, "n_logos": 100, "bytes_per_window": 14}
    l1 = {"metric": "l1", "ways": ways[:2], "scan": {"ms_median": 91.0}}
    return {"metric": "l2", "ways": ways, "scan": {"ms_median": 95.0}, "l1": l1} | common


def scale_results():
    rows = [
        {
            "n": 10**power_,
            "scan_seconds": 9e-11 * 10**power_ + 1e-3,
            "index_ms_median": 0.05 * 10 ** (0.18 * power_),
            "windows_touched": 300 * 10 ** (0.4 * power_),
            "lists": 24,
            "candidates": 2000,
            "build_seconds": 1.2e-7 * 10**power_ + 2,
        }
        for power_ in (6, 7, 8, 9)
    ]
    fits = {"scan_seconds": 0.8, "index_ms_median": 0.18, "windows_touched": 0.4}
    fits |= {"build_seconds": 0.6}
    return {
        "rows": rows,
        "exponents": fits,
        "exponents_of_largest": fits | {"scan_seconds": 0.99, "lists": None},
    }


def ablation_results():
    row = {"key": "full", "name": "as it is", "metric": "l1", "ms_median": 2.0, "ms_p95": 20.0}
    row |= {"windows_median": 500_000, "windows_p95": 9e6, "candidates_median": 9000}
    row |= {"candidates_p95": 90_000, "recall": 0.995, "asked": 120, "none": 0}
    row |= {"ratio_ms_median": 1.0, "ratio_windows_median": 1.0}
    none = {"key": "unscored", "name": "no re-scoring", "metric": "l1", "recall": 0.4}
    none |= {"asked": 120, "none": 0}
    random = {"key": "random", "name": "random codebooks", "windows_median": 1.5e6, "none": 7}
    random |= {"ratio_ms_median": 4.52, "ratio_windows_median": None}
    return {"n": 10**9, "missed": 0.1, "n_logos": 120, "rows": [row, row | random, none]}


MAKERS = {
    "scan": scan_results,
    "together": together_results,
    "startup": startup_results,
    "index": index_results,
    "beside": beside_results,
    "curves": curves_results,
    "scale": scale_results,
    "ablation": ablation_results,
}


def write_result(folder, name, results, size="1e9", code=None):
    content = {
        "benchmark": name,
        "when": "2026-11-23T10:00:00+00:00",
        "machine": MACHINE,
        "arguments": {"digits": 10**9, "threads": 2},
        "results": results,
        "modules": ["indexer/window.py"],
        "code": code or record.fingerprints(["indexer/window.py"]),
    }
    (folder / f"{name}-{size}.json").write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    for name, make in MAKERS.items():
        write_result(results, name, make())
    return results


@pytest.fixture
def results(folder):
    return Results(folder, "1e9")


@pytest.fixture
def root(tmp_path):
    """Documents with one block that is out of date and one that was not measured."""
    (tmp_path / "docs").mkdir()
    text = "before\n\n<!-- bench scan-1e9 -->\n| by hand | 1 |\n<!-- /bench -->\n\nbetween\n\n"
    text += "<!-- bench scan-1e8 -->\nas it was\n<!-- /bench -->\nafter\n"
    (tmp_path / "README.md").write_text(text)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(render.main, [str(word) for word in arguments])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0908, "0.0908"),
        (12.703, "12.7"),
        (8412.0, "8,410"),
        (999.7, "1,000"),
        (1.0, "1.00"),
        (1_234_567, "1.2e6"),
        (0, "0"),
        (None, "–"),
    ],
)
def test_figures_are_written_to_three_digits(value, text):
    assert figure(value) == text


def test_powers_ratios_and_recalls():
    assert [power(n) for n in (10**9, 3 * 10**7, 123, 2 * 10**7 + 1)] == [
        "10⁹", "3·10⁷", "123", "20,000,001",
    ]  # fmt: skip
    assert [ratio(x) for x in (0.25, 0.73, 1, 139.96, 2)] == [
        "1/4.0", "0.73", "1", "140", "2.0",
    ]  # fmt: skip
    # rounded down: 1 says that nothing was missed
    assert [share(x) for x in (1, 0.99999, 0.9959, None)] == ["1", "0.9999", "0.995", "–"]


def test_bars_in_cells_do_not_end_them():
    assert markdown(["a", "b"], [["|d|", "2"]]).splitlines()[2] == "| \\|d\\| | 2 |"


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_one_and_says_where_it_is_from(results, name):
    lines = TABLES[name].make(results).splitlines()
    rows = [re.sub(r"\\\|", "", line) for line in lines if line.startswith("|")]
    assert len(rows) >= 3
    assert len({row.count("|") for row in rows}) == 1, rows
    assert "10⁹ decimals; Abacus, family 1" in lines[-1]
    assert "commit 1a2b3c4, 2026-11-23" in lines[-1]


def test_the_summary_compares_within_a_run_and_with_the_first_metric(results):
    text = TABLES["summary"].make(results)
    assert "| C loop, \\|d − r\\|, 2 threads | 4.2 s | 42 | all, proven |" in text
    assert "(d - r)" not in text  # l2's
    assert "| **pilogo's index**, median (95 % within) | **1.8 ms** (27) | 1/40 | 99.90 % |" in text


def test_the_scan_table_has_what_was_measured(results):
    text = TABLES["scan"].make(results)
    assert "| **scan, 2 threads (AVX2)** | **0.100** | 0.0900 |" in text
    assert "scan by avx2" not in text  # it is the scan's own
    assert "(scaled from 2·10⁷) | 8.00 | 7.20 |" in text
    assert "A scan is 5.0 reads of the bytes, 80 times faster" in text
    assert "and 120 times faster" in text


def test_a_batch_is_counted_in_scans(results):
    assert "| l1 | 100 | 8.00 | 4.70 | 58.8 | 1.7 |" in TABLES["together"].make(results)


def test_ways_of_two_metrics_stand_in_one_row(results):
    text = TABLES["beside"].make(results)
    row = r"| C loop, \|d - r\| or (d - r)^2, 2 threads | 4.20 | 42 | 4.90 | 49 | 10⁹ |"
    assert row in text
    assert "| FAISS IndexFlat, 2 threads | – | – | 47.0 | 470 | 10⁷, scaled |" in text
    assert "Every way gave the same answer." in text


def test_an_answer_that_differs_is_said(folder, results):
    figures = beside_results()
    figures["rows"][3]["same_answer"] = False
    write_result(folder, "beside", figures)
    assert "ANSWERS DIFFER: C loop, (d - r)^2, 2 threads" in TABLES["beside"].make(results)


def test_what_a_variant_lacks_is_said(results):
    text = TABLES["ablation"].make(results)
    row = "| random codebooks | l1 | 2.0, 20 | 1.5e6, 9.0e6 | 9,000, 90,000 | 0.995 | 4.5 | – |"
    assert row in text
    assert "| no re-scoring | l1 | – | – | – | 0.400 | – | – |" in text
    assert "random codebooks, l1: 120 asked, 7 without an answer" in text.replace("\n", " ")


def test_curves_are_compared_at_the_same_recall(results):
    points = curves_results()["ways"][0]["points"]
    assert reach(points, 0.9) == 2.2
    assert reach(points, 0.9995) is None
    assert "| l2 | 0.9 | 2.20 | 900 | – | 95.0 |" in TABLES["curves"].make(results)


def test_a_front_has_no_point_that_another_beats():
    points = [(3, 0.5), (1, 0.2), (2, 0.2), (4, 0.4), (5, 0.9), (3, 0.6)]
    found = front([{"ms_median": ms, "recall": r} for ms, r in points])
    assert found == [(1, 0.2), (3, 0.6), (5, 0.9)]


def test_marks_are_the_fastest_of_each_kind_by_the_metric_of_the_curves(folder, results):
    assert [(m.name, m.ms, m.extrapolated) for m in marks(results, "l2")] == [
        ("pilogo, exact scan", 95.0, False),
        ("plain C, 2 threads", 4900.0, False),
        ("FAISS flat, 2 threads", 47000.0, True),
    ]
    (folder / "beside-1e9.json").unlink()
    assert len(marks(results, "l2")) == 1


def test_rendering_replaces_what_stands_between_the_markers(folder, root):
    before = (root / "README.md").read_text()
    assert run("--check", "--results", folder, "--root", root).exit_code == 1
    assert (root / "README.md").read_text() == before
    assert run("--results", folder, "--root", root).exit_code == 0
    text = (root / "README.md").read_text()
    assert "by hand" not in text
    assert "**scan, 2 threads (AVX2)**" in text
    assert "as it was" in text
    assert text.startswith("before\n\n<!-- bench scan-1e9 -->\n\n|")
    assert text.endswith("<!-- /bench -->\nafter\n")
    done = run("--check", "--results", folder, "--root", root)
    assert done.exit_code == 0
    assert "scan-1e8: no result" in done.output


def test_a_hand_edit_and_a_result_that_is_not_rendered_fail_the_check(folder, root):
    run("--results", folder, "--root", root)
    readme = root / "README.md"
    text = readme.read_text()
    readme.write_text(text.replace("0.0900", "0.0100"))
    done = run("--check", "--results", folder, "--root", root)
    assert (done.exit_code, str(done.exception)) == (
        1,
        "README.md is not what the results say: scan-1e9; next: python benchmarks/render.py",
    )
    readme.write_text(text)
    write_result(folder, "scan", scan_results(), size="1e8")
    assert "scan-1e8" in str(run("--check", "--results", folder, "--root", root).exception)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- bench scan-1e9 -->\n", "has no <!-- /bench -->"),
        ("<!-- bench scan -->\n<!-- /bench -->", "no size"),
        (2 * "<!-- bench scan-1e9 -->\n" + "<!-- /bench -->", "has no <!-- /bench -->"),
        ("<!-- bench sacn-1e9 -->\n<!-- /bench -->", "no table is named sacn"),
    ],
)
def test_markers_that_are_not_in_order_are_told(folder, root, text, said):
    (root / "README.md").write_text(text)
    with pytest.raises(InputError, match=re.escape(said)):
        render.differences(render.Place(folder, root))


def test_a_result_without_what_its_table_shows_is_named(folder, root):
    write_result(folder, "scan", {"rows": {}})
    with pytest.raises(InputError, match=r"scan-1e9\.json"):
        render.differences(render.Place(folder, root))


def test_a_result_of_older_code_is_due(folder, root):
    write_result(folder, "scan", scan_results(), code={"indexer/window.py": "older"})
    run("--results", folder, "--root", root)
    done = run("--check", "--results", folder, "--root", root)
    assert done.exit_code == 0
    assert (
        "scan-1e9: measured at 1a2b3c4 on 2026-11-23; indexer/window.py has changed since: a "
        "re-run is due (python benchmarks/suite.py --digits 1e9 --only scan)\n"
    ) in done.output
    assert "scale-1e9: measured at 1a2b3c4 on 2026-11-23\n" in done.output
    assert run("--check", "--strict", "--results", folder, "--root", root).exit_code == 1
    write_result(folder, "scan", scan_results())
    assert run("--check", "--strict", "--results", folder, "--root", root).exit_code == 0


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_knows_which_results_it_shows(folder, root, name):
    pytest.importorskip("matplotlib")
    (root / "README.md").write_text(f"<!-- bench {name}-1e9 -->\n<!-- /bench -->\n")
    place = render.Place(folder, root)
    render.write_documents(place)
    picture = PLOTS[name].file
    assert f"]({picture})" in (root / "README.md").read_text()
    assert render.differences(place) == []
    benchmark = PLOTS[name].benchmarks[-1]
    changed = MAKERS[benchmark]()
    changed["rows"][0]["seconds"] = [1.5]
    write_result(folder, benchmark, changed)
    assert render.differences(place) == [f"{picture} is not of the results of 1e9"]
    (root / picture).unlink()
    assert len(render.differences(place)) == 1


def test_a_report_has_every_table(folder, monkeypatch):
    drawn = []
    for plot in PLOTS.values():
        monkeypatch.setattr(type(plot), "save", lambda plot, results, path: drawn.append(path.name))
    path = render.report(render.Place(folder, ROOT), "1e9")
    text = path.read_text()
    assert [f"## {name}" in text for name in TABLES] == [True] * len(TABLES)
    assert all(f"({name})" in text for name in drawn)
    assert len(drawn) == len(PLOTS)


def test_the_documents_markers_are_in_order_and_each_plot_has_one_size(tmp_path):
    for name in render.DOCUMENTS:
        shutil.copy(ROOT / name, tmp_path / name)
    render.read_documents(render.Place(tmp_path, tmp_path))
    text = "".join((ROOT / name).read_text("utf-8") for name in render.DOCUMENTS)
    sizes = [set(re.findall(rf"<!-- bench {name}-(\S+) -->", text)) for name in PLOTS]
    assert [len(size) for size in sizes] == [1] * len(PLOTS)


def test_fingerprints_see_code_and_not_sentences(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "ROOT", tmp_path)
    (tmp_path / "part").mkdir()
    module, data = tmp_path / "part" / "one.py", tmp_path / "loops.c"
    module.write_text('"""Says."""\n\nx = 1  # one\n')
    data.write_text("int x;")
    whole = {"modules": ["part", "loops.c"], "code": record.fingerprints(["part", "loops.c"])}
    module.write_text('"""Says more."""\nx = 1\n# and more\n')
    assert record.stale(whole) == []
    module.write_text("x = 2\n")
    assert record.stale(whole) == ["part/one.py"]
    module.write_text("x = 1\n")
    (tmp_path / "part" / "two.py").write_text("y = 1\n")
    data.unlink()
    assert record.stale(whole) == ["loops.c", "part/two.py"]


def test_a_commit_with_changes_says_so():
    assert short_commit({"machine": {"commit": "1a2b3c4d5 with changes"}}) == "1a2b3c4 with changes"
