import math

import numpy as np
import pytest

import reference
from indexer.errors import CostsError, UsageError
from query.metrics import METRICS, cost_table, read_costs
from query.palette import GREYS


@pytest.fixture
def bitmap() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 10, (6, 14)).astype(np.uint8)


def plain_cost(metric: str, reference_digit: int, digit: int) -> float:
    a, b = reference_digit, digit
    if metric == "l1":
        return abs(a - b)
    if metric == "l2":
        return (a - b) ** 2
    if metric == "gray-l1":
        return abs(GREYS[a] - GREYS[b])
    if metric == "gray-l2":
        return (GREYS[a] - GREYS[b]) ** 2

    def lightness(grey: int) -> float:
        c = grey / 255
        y = c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        return 116 * y ** (1 / 3) - 16 if y > 216 / 24389 else y * 24389 / 27

    return (lightness(GREYS[a]) - lightness(GREYS[b])) ** 2


@pytest.mark.parametrize("metric", METRICS)
def test_table_is_the_metric_at_every_pixel_and_digit(metric, bitmap):
    table = cost_table(bitmap, metric)
    assert table.costs.shape == (84, 10)
    assert table.costs.dtype == np.int32
    for i, r in enumerate(bitmap.ravel()):
        for d in range(10):
            shown = table.in_units(int(table.costs[i, d]))
            assert math.isclose(shown, plain_cost(metric, int(r), d), abs_tol=0.5 / table.scale)


@pytest.mark.parametrize("metric", ["l1", "l2", "gray-l1", "gray-l2"])
def test_distances_of_whole_metrics_are_shown_as_integers(metric, bitmap):
    shown = cost_table(bitmap, metric).in_units(np.int64(17).item())
    assert shown == 17
    assert isinstance(shown, int)


def test_lightness_spans_the_scale_of_cie():
    white = np.zeros((6, 14), np.uint8)
    assert (
        cost_table(white, "lightness").in_units(int(cost_table(white, "lightness").costs[0, 9]))
        == 10_000
    )


def test_unknown_metric_is_named():
    with pytest.raises(UsageError, match="metric cosine is unknown; allowed: l1, l2"):
        cost_table(np.zeros((6, 14), np.uint8), "cosine")


def write(path, rows) -> None:
    path.write_text("\n".join(",".join(str(c) for c in row) for row in rows) + "\n")


def test_costs_file_round_trip(tmp_path, bitmap):
    rows = reference.l2("".join(map(str, bitmap.ravel())))
    write(tmp_path / "c.csv", rows)
    table = read_costs(tmp_path / "c.csv")
    assert table.costs.tolist() == rows
    assert table.scale == 1
    assert table.name == "costs"
    assert table.nearest_digits().tolist() == bitmap.ravel().tolist()


def test_costs_keep_their_decimal_places_exactly(tmp_path):
    rows = [[0.1 * d if i else -1.25 for d in range(10)] for i in range(84)]
    (tmp_path / "c.csv").write_text(
        "# comment\n\n" + "\n".join(",".join(f"{c:.2f}" for c in row) for row in rows)
    )
    table = read_costs(tmp_path / "c.csv")
    assert table.scale == 100
    assert table.costs[0].tolist() == [-125] * 10
    assert table.costs[1].tolist() == list(range(0, 100, 10))
    assert table.in_units(-125) == -1.25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:83], "has 83 rows; a costs file has 84"),
        (lambda rows: [*rows, rows[0]], "has 85 rows"),
        (lambda rows: [*rows[:5], [1, 2], *rows[6:]], "line 6 has 2 numbers; allowed is 10"),
        (lambda rows: [*rows[:5], ["x"] * 10, *rows[6:]], "line 6 has 'x'; allowed are numbers"),
        (lambda rows: [["nan"] * 10, *rows[1:]], "line 1 has 'nan'"),
        (lambda rows: [["inf"] * 10, *rows[1:]], "line 1 has 'inf'"),
        (lambda rows: [["1e30"] * 10, *rows[1:]], "line 1 has '1e30'"),
        (lambda rows: [["0.12345678"] * 10, *rows[1:]], "a number of 8 places; allowed are 6"),
        (lambda rows: [["99999.999"] * 10, *rows[1:]], "has a cost of 99999.999"),
    ],
)
def test_bad_costs_are_refused_with_the_value(tmp_path, change, message):
    write(tmp_path / "c.csv", change([[1] * 10 for _ in range(84)]))
    if "99999.999" in message:
        with pytest.raises(
            CostsError, match=r"has a cost of 100000; allowed with 3 decimal places"
        ):
            read_costs(tmp_path / "c.csv")
        return
    with pytest.raises(CostsError, match=message):
        read_costs(tmp_path / "c.csv")


def test_costs_that_are_no_text_file(tmp_path):
    with pytest.raises(CostsError, match="is not a file"):
        read_costs(tmp_path)
    with pytest.raises(CostsError, match="is not a file"):
        read_costs(tmp_path / "none.csv")
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CostsError, match="is not text"):
        read_costs(tmp_path / "b")
    (tmp_path / "big").write_bytes(b"1," * 600_000)
    with pytest.raises(CostsError, match="has 1200000 bytes; a costs file has at most 1048576"):
        read_costs(tmp_path / "big")
