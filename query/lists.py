"""The search of inverted lists: which to visit for a question, and the exact distances in them.

    query = ListQuery(of_cells, of_codes, costs)
    search = ListSearch(lists)
    probes = search.find_probes(query, Limits(cell=900.0, prediction=950.0))
    search.begin(probes, 0, len(probes.rows))
    while not search.finished:
        rows = search.run(limit)                   # int64[k, 2]: starts, distances

A window is found where its cell's sum is within the cell limit, its code's quantised prediction
within the prediction limit, and its distance within the limit. Only the last is exact: what the
first two lose is for the caller to foresee.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.cells import CODEWORDS, GROUPS, LARGEST_BITS, SUBCODES
from indexer.ir import Job, MachineCode, choose_set, features_without, once
from indexer.window import WINDOW, count_windows
from query.assembly.layout import InstructionSet
from query.assembly.list_layout import (
    BATCH,
    FIND,
    LEVELS,
    LIST_SETS,
    PENDING,
    PROBE_BYTES,
    SEARCH,
    VNNI,
    WAITING,
)
from query.assembly.lists import list_assembly

__all__ = [
    "NOWHERE",
    "Limits",
    "ListKernel",
    "ListQuery",
    "ListSearch",
    "Lists",
    "Probes",
    "load_list_kernel",
]

# Rows a thread can find before it hands them over.
_CAPACITY = 1 << 12
# Probes there is room for at first: 128 KB.
_PROBES = 1 << 12

_PROBE = np.dtype(
    {
        "names": ["offset", "size", "capacity", "sum"],
        "formats": ["<i8", "<i8", "<i8", "<f4"],
        "itemsize": PROBE_BYTES,
    }
)


def _require(array: NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    """Raise ValueError unless the routines can read the array in place."""
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        raise ValueError(
            f"{array.dtype}{list(array.shape)} is not contiguous {dtype.__name__}{list(shape)}"
        )


@dataclass(frozen=True)
class Limits:
    """How far to look, in predicted distances without the intercept, both inclusive.

    cell is for what the cell alone predicts, prediction for cell and code.
    """

    cell: float
    prediction: float


NOWHERE = Limits(-np.inf, -np.inf)


@dataclass(frozen=True, eq=False)
class Lists:
    """Inverted lists and the decimals they index; all may be memory maps.

    directory is int64[n_cells, 3]: size, capacity and offset of each list; data uint8[bytes]: at
    `offset` capacity codes of 6 bytes, little-endian, then capacity starts (int64), `size` of each
    in use. digits is uint8[n] ASCII. Starts below n_windows can be scored; from n_stored on they
    are damage.
    """

    directory: NDArray[np.int64]
    data: NDArray[np.uint8]
    digits: NDArray[np.uint8]
    n_windows: int
    n_stored: int

    def __post_init__(self) -> None:
        _require(self.directory, np.int64, (len(self.directory), 3))
        _require(self.data, np.uint8, (len(self.data),))
        _require(self.digits, np.uint8, (len(self.digits),))
        most = min(count_windows(len(self.digits)), self.n_stored)
        if not 0 <= self.n_windows <= most:
            raise ValueError(f"n_windows is {self.n_windows}; 0 to {most} can be scored")


class ListQuery:
    """A question as the lists need it, made once for all threads.

    of_cells is float32[2, 2**bits], of_codes float32[12, 16]: the predicted distance of a window is
    the sum of one of each row, lower is closer. costs is int32[84, 16]: what digit d costs at pixel
    i; a byte that is no digit has its low four bits looked up.

    A code's sum is compared in whole *levels* above the least there is, `code_floor`: of_codes[s]
    less its minimum, over `unit`, rounded to the nearest, 0 to 127.
    """

    def __init__(
        self,
        of_cells: NDArray[np.float32],
        of_codes: NDArray[np.float32],
        costs: NDArray[np.int32],
    ) -> None:
        n_values = of_cells.shape[-1]
        bits = min(n_values.bit_length() - 1, LARGEST_BITS)
        _require(np.ascontiguousarray(of_cells), np.float32, (GROUPS, 1 << bits))
        _require(np.ascontiguousarray(of_codes), np.float32, (SUBCODES, CODEWORDS))
        _require(costs, np.int32, (WINDOW, 16))
        order = np.argsort(of_cells, axis=1, kind="stable")
        # One NaN behind each group: it is never within a limit, so that no loop runs past the end.
        self.values = np.full((GROUPS, n_values + 1), np.nan, dtype=np.float32)
        self.values[:, :-1] = np.take_along_axis(of_cells, order, axis=1)
        self.parts = order << bits * np.arange(GROUPS)[:, None]
        lowest = of_codes.min(axis=1).astype(np.float64)
        above = of_codes - lowest[:, None]
        self.code_floor = float(lowest.sum())
        self.unit = max(float(above.max()) / LEVELS, float(np.finfo(np.float32).tiny))
        self.levels: NDArray[np.uint8] = np.rint(above / self.unit).astype(np.uint8)
        self.costs = costs

    def count_windows(self, sizes: NDArray[np.int64], limits: Limits) -> int:
        """How many windows are within limits, of int64[n_cells] windows in each cell.

        The same as find_probes of the lists, for who has them elsewhere.
        """
        second, first = self.values[1, :-1], self.values[0, :-1]
        sums = second[:, None] + first
        within = (sums <= limits.cell) & (sums + self.code_floor <= limits.prediction)
        cells = self.parts[1][:, None] + self.parts[0]
        return int(sizes[cells[within]].sum())

    def count_cells(self, limits: Limits) -> int:
        """About how many cells are within limits, empty or not."""
        within = min(limits.cell, limits.prediction - self.code_floor)
        first, second = self.values[:, :-1].astype(np.float64)
        return int(np.searchsorted(first, within - second, side="right").sum())


@dataclass(frozen=True, eq=False)
class Probes:
    """The lists to visit for a query: rows _PROBE[n_lists], which its finder overwrites next time.

    n_windows is how many windows they hold, n_damaged how many rows of the directory point outside
    of the data and are left out.
    """

    query: ListQuery
    limits: Limits
    rows: NDArray[np.void]
    n_windows: int
    n_damaged: int

    @property
    def n_lists(self) -> int:
        """How many lists there are to visit."""
        return len(self.rows)


@dataclass(frozen=True)
class Counts:
    """What a search has done since it began.

    n_scanned codes in lists were looked at, n_scored windows scored; n_bad ids are damage.
    """

    n_scanned: int
    n_scored: int
    n_bad: int


class ListKernel:
    """The compiled routines of one instruction set."""

    def __init__(self, isa: InstructionSet) -> None:
        self.isa = isa
        without = features_without(LIST_SETS, isa)
        self._code = MachineCode(list_assembly(isa), without, light=True)
        self.find = self._code.routine("find")
        self.search = self._code.routine("search")

    def tables(self, levels: NDArray[np.uint8]) -> NDArray[Any]:
        """Levels uint8[12, 16] of a query as the routine looks them up."""
        if self.isa is VNNI:
            return np.concatenate([levels[0:8:2], levels[1:8:2], levels[8::2], levels[9::2]])
        pairs: NDArray[np.int32] = np.add(
            levels[1::2, :, None], levels[0::2, None, :], dtype=np.int32
        )
        return pairs


@once
def _kernel(isa: InstructionSet) -> ListKernel:
    return ListKernel(isa)


def load_list_kernel(name: str | None = None) -> ListKernel:
    """The kernel of the named instruction set, or of the best this processor has.

    Raises UsageError for a set that is unknown or that this processor lacks.
    """
    return _kernel(choose_set(LIST_SETS, name))


class ListSearch:
    """Finds lists to visit, and searches them; one for each thread.

    The interpreter's lock is released. Probes found by one ListSearch can be searched by several,
    each a range of them.
    """

    def __init__(self, lists: Lists, name: str | None = None, capacity: int = _CAPACITY) -> None:
        """Name is the instruction set, the best by default; capacity the rows of one run."""
        self._lists = lists
        self._kernel = load_list_kernel(name)
        self._rows = np.empty(_PROBES, dtype=_PROBE)
        # Jobs hold addresses; the arrays are kept here so that they stay valid.
        self._pending = np.empty(PENDING, dtype=np.int64)
        self._waiting = np.empty(WAITING, dtype=np.int64)
        self._ready = np.zeros(WAITING + BATCH, dtype=np.int64)
        self._found = np.empty((capacity, 2), dtype=np.int64)
        self._find = Job(FIND)
        self._find.set(
            directory=lists.directory.ctypes.data,
            data_bytes=len(lists.data),
            pending=self._pending.ctypes.data,
        )
        self._search = Job(SEARCH)
        self._search.set(
            data=lists.data.ctypes.data,
            digits=lists.digits.ctypes.data,
            n_windows=lists.n_windows,
            n_stored=lists.n_stored,
            waiting=self._waiting.ctypes.data,
            ready=self._ready.ctypes.data,
            found=self._found.ctypes.data,
            capacity=capacity,
        )

    def find_probes(self, query: ListQuery, limits: Limits, above: float = -np.inf) -> Probes:
        """Every list that is not empty, whose cell's sum is above `above` and within the limits.

        Within the prediction limit is a list where its sum and code_floor are. Sums are float32,
        group 1 + group 0, compared in float64. O(cells found), plus sorting.
        """
        n_values = query.parts.shape[1]
        _require(self._lists.directory, np.int64, (n_values**GROUPS, 3))
        job = self._find
        job.set(
            values=query.values.ctypes.data,
            parts=query.parts.ctypes.data,
            n_values=n_values,
            next1=0,
            count=0,
            n_windows=0,
            n_damaged=0,
        )
        job.set_doubles(
            cell_limit=limits.cell,
            prediction_limit=limits.prediction,
            code_floor=query.code_floor,
            above=above,
        )
        while True:
            job.set(probes=self._rows.ctypes.data, capacity=len(self._rows))
            self._kernel.find(job.address)
            if job.get("next1") == n_values:
                break
            grown = np.empty(2 * len(self._rows), dtype=_PROBE)
            grown[: job.get("count")] = self._rows[: job.get("count")]
            self._rows = grown
        rows = self._rows[: job.get("count")]
        return Probes(query, limits, rows, job.get("n_windows"), job.get("n_damaged"))

    def begin(self, probes: Probes, begin: int, end: int, previous: Limits = NOWHERE) -> None:
        """Take the probes [begin, end).

        Windows that the same query found within `previous` limits are not found again.
        """
        if not 0 <= begin <= end <= probes.n_lists:
            raise ValueError(f"probes [{begin}, {end}) of {probes.n_lists}")
        query = probes.query
        self._probes = probes
        self._levels = self._kernel.tables(query.levels)
        job = self._search
        job.set(
            probes=probes.rows.ctypes.data,
            probe=begin,
            position=0,
            end=end,
            levels=self._levels.ctypes.data,
            costs=query.costs.ctypes.data,
            **dict.fromkeys(("n_waiting", "n_ready", "batch", "kept", "emitted"), 0),
            **dict.fromkeys(("count", "full", "n_scanned", "n_scored", "n_bad"), 0),
        )
        job.set_doubles(
            unit=query.unit,
            code_floor=query.code_floor,
            prediction_limit=probes.limits.prediction,
            previous_cell_limit=previous.cell,
            previous_limit=previous.prediction,
        )

    def run(self, limit: int) -> NDArray[np.int64]:
        """Go on until the probes are done or the table of finds is full.

        Returns int64[k, 2]: start and distance of windows of distances up to the limit, each once,
        in no order.
        """
        self._search.set(limit=limit, count=0)
        self._kernel.search(self._search.address)
        return self._found[: self._search.get("count")].copy()

    @property
    def finished(self) -> bool:
        """Whether the probes are done."""
        job = self._search
        return job.get("probe") >= job.get("end") and not (
            job.get("n_waiting") or job.get("n_ready")
        )

    @property
    def counts(self) -> Counts:
        """What was done since begin."""
        job = self._search
        return Counts(job.get("n_scanned"), job.get("n_scored"), job.get("n_bad"))
