import numpy as np
import pytest
from ablation import Pair, Question, make_row, n_missed
from routines import MadeUpSearch, make_lists
from scale import fit_all, fit_exponent, sizes_to

from ablations.fixed import FixedSearch, Setting, cell_limit, cell_ranks
from ablations.predicted import ByPrediction
from ablations.variants import lines_square, windows_square
from indexer.build import build_index
from indexer.coding import WindowCoder
from indexer.compute import compute_digits
from indexer.corpus import held_out_logos
from indexer.digits import find_store
from indexer.faiss_files import learn_centres
from indexer.learning import Recipe, leading_directions, learn_coder
from indexer.projection import FEATURES, VARIANCES
from indexer.window import WINDOW, count_windows
from measuring.index_questions import (
    Asked,
    Opened,
    choose_logos,
    make_table,
    recall,
    store_in,
    summarise,
)
from query.candidates import Found
from query.kernels import load_kernel
from query.lists import Lists
from query.ranking import Ranking
from query.scan import closest_windows

N = 20_000


@pytest.fixture(scope="module")
def small_home(tmp_path_factory):
    """A home with 20,000 decimals and their index."""
    home = tmp_path_factory.mktemp("small")
    build_index(compute_digits(home, N), threads=1)
    return home


def ranking(*starts):
    return Ranking(np.array(starts, dtype=np.int64), np.zeros(len(starts), dtype=np.int64))


def found(windows, *starts):
    return Found(ranking(*starts), 0.0, 1, windows, windows // 10, 1)


def test_an_exponent_is_that_of_the_power_law():
    rows = [{"n": n, "scan_seconds": 3 * n**0.75} for n in (10, 100, 5000)]
    assert fit_exponent(rows, "scan_seconds") == pytest.approx(0.75)


def test_sizes_without_a_figure_are_left_out_of_its_fit():
    rows = [{"n": 10**k, "build_seconds": 10.0 ** (2 * k)} for k in range(4)]
    rows.append({"n": 10**9, "build_seconds": None})
    assert fit_exponent(rows, "build_seconds") == pytest.approx(2)
    assert fit_exponent(rows, "build_seconds", largest=3) == pytest.approx(2)
    assert fit_exponent(rows[:1], "build_seconds") is None


def test_the_largest_sizes_have_a_fit_of_their_own():
    figures = ("scan_seconds", "index_ms_median", "windows_touched", "lists", "candidates")
    rows = [
        dict.fromkeys((*figures, "build_seconds"), max(5.0, n / 100)) | {"n": n}
        for n in (1, 10, 1000, 10_000, 100_000)
    ]
    assert all(b == pytest.approx(1) for b in fit_all(rows, 3).values())
    assert all(b < 0.95 for b in fit_all(rows).values())


@pytest.mark.parametrize(
    ("n", "sizes"),
    [
        (10**6, [10**6]),
        (2 * 10**6, [10**6, 2 * 10**6]),
        (10**7, [10**6, 3 * 10**6, 10**7]),
        (5 * 10**7, [10**6, 3 * 10**6, 10**7, 3 * 10**7, 5 * 10**7]),
    ],
)
def test_sizes_grow_by_threes_and_end_with_the_one_asked_for(n, sizes):
    assert sizes_to(n) == sizes


def test_recall_counts_each_true_window_once():
    assert recall([ranking(1, 2, 3, 4)], [ranking(4, 9, 1, 2)]) == 0.75
    assert recall([ranking(1, 2), ranking(3, 4)], [ranking(1, 2), ranking(1, 2)]) == 0.5
    assert recall([], []) is None


def test_a_summary_leaves_out_what_has_no_answer_and_counts_it():
    asked = [Asked(1.0, found(10)), Asked(99.0, None), Asked(3.0, found(30))]
    summary = summarise(asked)
    assert (summary["none"], summary["ms_median"], summary["windows_median"]) == (1, 2.0, 20.0)
    assert summarise([Asked(1.0, None)])["ms_p95"] is None


def test_ratios_are_over_what_both_indexes_answered():
    table = make_table(choose_logos(1)[0], "l1")
    question = Question(table, ranking(1, 2))
    pairs = [
        Pair(question, Asked(6.0, found(60, 1, 2)), Asked(2.0, found(20, 1, 2))),
        Pair(question, Asked(6.0, found(60, 1, 7)), Asked(2.0, found(20, 1, 2))),
        Pair(question, Asked(1.0, None), Asked(900.0, found(9000, 1, 2))),
        Pair(question, Asked(900.0, found(9000, 1, 2)), Asked(1.0, None)),
    ]
    row = make_row("key", "name", "l1", pairs)
    assert (row["asked"], row["none"], row["name"]) == (4, 1, "name")
    assert row["ratio_ms_median"] == row["ratio_windows_median"] == 3.0
    assert row["recall"] == 5 / 6
    assert make_row("key", "name", "l2", pairs)["recall"] is None


def test_logos_asked_are_held_out_and_a_few_of_them_begin_the_many():
    many = choose_logos(50)
    assert np.array_equal(choose_logos(5), many[:5])
    assert {logo.tobytes() for logo in many} <= {logo.tobytes() for logo in held_out_logos()}
    assert len(np.unique(many, axis=0)) == 50


def test_the_windows_own_covariance_is_numpys():
    digits = np.random.default_rng(3).integers(48, 58, 1000, dtype=np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(digits - 48, WINDOW)
    features = (FEATURES / np.sqrt(VARIANCES)[:, None])[:, windows]
    wide = features.transpose(1, 0, 2).reshape(len(windows), -1)
    assert np.allclose(windows_square(digits), np.cov(wide.T, bias=True), atol=1e-4)


def test_lines_alone_have_no_weight_on_parabolas():
    weights = leading_directions(lines_square(), 0.3).weights
    assert not weights[:, 1].any()
    assert (np.abs(weights[:, 0]).max(axis=1) == 127).all()


def test_k_means_of_no_rounds_takes_points_as_centres():
    points = np.random.default_rng(5).integers(-90, 90, (500, 3), dtype=np.int8)
    centres = learn_centres(points, 16, 0, 1)
    assert {tuple(c) for c in centres.tolist()} <= {tuple(p) for p in points.tolist()}


def test_a_projection_that_is_given_is_the_coders():
    projection = leading_directions(lines_square(), 0.3)
    assert learn_coder(N, projection=projection).projection is projection


def test_windows_of_least_prediction_are_those_of_all_predictions(small_home, monkeypatch):
    # limits close to the answer, in small steps
    monkeypatch.setattr("ablations.predicted._FIRST", 0.5)
    monkeypatch.setattr("ablations.predicted._MORE", 2)
    opened = Opened(find_store(small_home, "pi", N), threads=1)
    n_windows, index = count_windows(N), opened.index
    best = ByPrediction(
        index.coder,
        Lists(index.directory, index.lists, opened.digits, n_windows, n_windows),
    )
    coded = WindowCoder(index.coder, "numpy").code(opened.digits)
    for logo in choose_logos(100):
        for metric in ("l1", "l2"):
            table = make_table(logo, metric)
            slopes = index.coder.projection.slopes(table.costs)[1]
            values = index.coder.predictions(*coded, slopes)[1]
            right = np.lexsort((np.arange(n_windows), values))[:10]
            assert np.array_equal(best.closest(table, 10), right)


def test_an_opened_index_answers_and_knows_its_size(small_home):
    opened = Opened(find_store(small_home, "pi", N), threads=1)
    asked = opened.ask(make_table(choose_logos(1)[0], "l1"))
    assert asked.ms > 0
    assert len(asked.found.ranking.starts) == 10
    assert opened.bytes_per_window > 14


def test_a_store_to_measure_is_the_first_decimals_and_goes_with_its_folder(small_home, tmp_path):
    folder = tmp_path / "made"
    whole = find_store(small_home, "pi", N).open()

    def interrupted(store):
        assert np.array_equal(store.open(), whole[:12_345])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), store_in(folder, small_home, 12_345) as store:
        interrupted(store)
    assert not folder.exists()


def test_windows_without_an_answer_are_all_missed():
    question = Question(make_table(choose_logos(1)[0], "l1"), ranking(1, 2, 3))
    asked = Asked(1.0, found(10, 3, 9))
    assert n_missed(Pair(question, asked, asked)) == 2
    assert n_missed(Pair(question, Asked(1.0, None), asked)) == 3


@pytest.fixture(scope="module")
def tuned(small_home):
    """A search with fixed limits, ten questions to it, and what their truth is."""
    opened = Opened(find_store(small_home, "pi", N), threads=1)
    search = FixedSearch(opened)
    tables = [make_table(logo, "l1") for logo in choose_logos(10)]
    truths = [closest_windows(opened.digits, table, 10, kernel=load_kernel()) for table in tables]
    questions = [search.prepare(*pair) for pair in zip(tables, truths, strict=True)]
    return search, questions, truths


@pytest.mark.parametrize("n_lost", [0, 5, 20])
def test_one_setting_for_all_loses_what_it_may(tuned, n_lost):
    search, questions, truths = tuned
    setting = search.tune(questions, n_lost)
    answers = [search.ask(one, search.limits(one, setting)).found.ranking for one in questions]
    lost = 100 * (1 - recall(truths, answers))
    assert abs(lost - n_lost) <= 3  # numbers of windows are met within 2 %


def test_the_same_number_of_windows_is_scored_for_every_question(tuned):
    search, questions, _ = tuned
    setting = Setting(n_cells=4, n_scored=2000)
    for one in questions:
        n_scored = search.ask(one, search.limits(one, setting)).found.n_candidates
        assert n_scored == pytest.approx(2000, rel=0.02)


def test_fewer_questions_may_lose_with_more_cells(tuned):
    search, questions, _ = tuned
    settings = [search.tune(questions, n_lost) for n_lost in (0, 5, 20, 60)]
    n_cells = [setting.n_cells for setting in settings]
    assert n_cells == sorted(n_cells, reverse=True)
    assert settings[0].n_scored > settings[-1].n_scored


def test_the_nearest_cells_are_within_their_limit(tuned):
    _, questions, _ = tuned
    query = questions[0].query
    limits = [cell_limit(query, n_cells) for n_cells in (1, 2, 3, 4, 5)]
    assert cell_ranks(query, np.array(limits, dtype=np.float32)).tolist() == [1, 2, 3, 4, 4]


@pytest.mark.parametrize(("bits", "size"), [(1, 3000), (3, 10)])
def test_made_up_lists_are_looked_at_as_a_whole_and_scored_all_or_none(bits, size):
    digits = np.random.default_rng(4).integers(48, 58, 9000, dtype=np.uint8)
    search = MadeUpSearch(digits, bits, size)
    n_windows = size << 2 * bits
    assert search.run(score=False) == (n_windows, 0)
    assert search.run(score=True) == (n_windows, n_windows)


def test_made_up_lists_of_ten_do_not_share_a_page():
    digits = np.full(1000, ord("7"), dtype=np.uint8)
    lists = make_lists(digits, 2, 10)
    assert len(set(lists.directory[:, 2] // 4096)) == 16


def test_a_shorter_code_is_cells_as_they_are_and_subcodes_of_fewer_codewords():
    full, short = (learn_coder(N, recipe=Recipe(code_bits=bits)) for bits in (48, 32))
    assert np.array_equal(full.centroids, short.centroids)
    assert [len(np.unique(words, axis=0)) for words in full.codewords] == [16] * 12
    assert [len(np.unique(words, axis=0)) for words in short.codewords] == [4, 8, 8] * 4
    directions = np.random.default_rng(1).integers(-60, 60, (2000, 48), dtype=np.int8)
    codes = short.quantise(directions)[1]
    largest = [int((codes >> np.uint64(4 * k) & np.uint64(15)).max()) for k in range(12)]
    assert largest == [3, 7, 7] * 4
