"""The search of inverted lists, compared with plain loops over every cell, code and pixel."""

import ctypes
import itertools
import math
import mmap
import threading

import llvmlite.binding as llvm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import UsageError
from indexer.window import WINDOW
from query.assembly.layout import PLAIN
from query.assembly.list_layout import LIST_SETS, PENDING, VNNI, WAITING
from query.assembly.lists import list_assembly
from query.lists import NOWHERE, Limits, ListQuery, Lists, ListSearch, load_list_kernel


def installed() -> list[str]:
    names = []
    for isa in LIST_SETS:
        try:
            names.append(load_list_kernel(isa.name).isa.name)
        except UsageError:
            continue
    return names


KERNELS = installed()
EVERYTHING = Limits(math.inf, math.inf)
SIZES = (0, 0, 1, 2, 10, 11, 12, 15, 16, 17, 31, 33, 64, 100)


# --- the slow truth -----------------------------------------------------------------------------


def cell_sum(of_cells, i1, i0):
    """In float32."""
    return float(np.float32(of_cells[1][i1] + of_cells[0][i0]))


def slow_probes(query_parts, lists, limits, above=-math.inf):
    """{cell: its sum} of the lists to visit."""
    of_cells, of_codes, _ = query_parts
    floor = sum(float(min(row)) for row in of_codes)
    n = len(of_cells[0])
    visited = {}
    for cell, (size, _, _) in enumerate(lists.directory.tolist()):
        total = cell_sum(of_cells, cell // n, cell % n)
        within = total <= limits.cell and limits.prediction - total - floor >= 0
        if size > 0 and above < total and within:
            visited[cell] = total
    return visited


def code_levels(of_codes):
    """(int[12][16], the unit, the floor)."""
    lows = [float(min(row)) for row in of_codes]
    rows = [[float(v) - low for v in row] for row, low in zip(of_codes, lows, strict=True)]
    unit = max(max(max(row) for row in rows) / 127, float(np.finfo(np.float32).tiny))
    return [[round(v / unit) for v in row] for row in rows], unit, sum(lows)


def budget(limit, total, unit, floor):
    left = (limit - total - floor) / unit
    return min(max(left, -1), 10**6) if math.isinf(left) else math.floor(left)


def read_list(lists, cell):
    """(codes, starts) in use."""
    size, capacity, offset = lists.directory[cell].tolist()
    data = lists.data[offset : offset + 14 * capacity].tobytes()
    codes = [int.from_bytes(data[6 * i : 6 * i + 6], "little") for i in range(size)]
    ids = data[6 * capacity :]
    starts = [int.from_bytes(ids[8 * i : 8 * i + 8], "little", signed=True) for i in range(size)]
    return codes, starts


def slow_search(query_parts, lists, limits, limit, previous=NOWHERE):
    """(found, scanned, scored, bad); found is sorted (start, distance)."""
    _, of_codes, costs = query_parts
    levels, unit, floor = code_levels(of_codes)
    digits = (lists.digits & 15).tolist()
    costs = costs.tolist()
    found, scanned, scored, bad = [], 0, 0, 0
    for cell, total in slow_probes(query_parts, lists, limits).items():
        most = budget(limits.prediction, total, unit, floor)
        seen = budget(previous.prediction, total, unit, floor) if total <= previous.cell else -1
        codes, starts = read_list(lists, cell)
        if most > max(seen, -1) and not min(seen, most) >= 12 * 127:
            scanned += len(codes)
        for code, start in zip(codes, starts, strict=True):
            level = sum(levels[s][code >> 4 * s & 15] for s in range(12))
            if not seen < level <= most:
                continue
            if 0 <= start < lists.n_windows:
                scored += 1
                distance = sum(costs[i][digits[start + i]] for i in range(WINDOW))
                if distance <= limit:
                    found.append((start, distance))
            elif not 0 <= start < lists.n_stored:
                bad += 1
    return sorted(found), scanned, scored, bad


# --- memory that ends where the array does ------------------------------------------------------


def walled(array, shift=0):
    """A copy that ends at a page nobody may touch: a read past its last byte ends the process."""
    n_bytes = array.nbytes + shift
    page = mmap.PAGESIZE
    pages = -(-n_bytes // page)
    memory = mmap.mmap(-1, (pages + 1) * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(address + pages * page), page, 0) == 0
    at = pages * page - n_bytes
    copy = np.frombuffer(memory, array.dtype, array.size, at).reshape(array.shape)
    copy[:] = array
    return copy


def walled_lists(lists):
    """The same lists in three such arrays; the directory is at an odd address."""
    return Lists(
        walled(lists.directory, shift=3),
        walled(lists.data),
        walled(lists.digits),
        lists.n_windows,
        lists.n_stored,
    )


# --- random indexes and questions ---------------------------------------------------------------


def random_lists(rng, bits, sizes=SIZES, spare=(0, 1, 7, 30), n_digits=3000, wild=0.0):
    """Lists with random codes and starts, in a shuffled order with gaps.

    Capacities are sizes and a choice of spare.
    """
    n_windows = n_digits - WINDOW + 1
    n_cells = 1 << 2 * bits
    directory = np.zeros((n_cells, 3), np.int64)
    pieces, offset = [], 0
    for cell in rng.permutation(n_cells):
        size = int(rng.choice(sizes))
        capacity = size + int(rng.choice(spare))
        directory[cell] = size, capacity, offset
        codes = rng.integers(0, 256, 6 * capacity, dtype=np.uint8)
        ids = rng.integers(0, n_windows, capacity).astype("<i8")
        strange = rng.choice(
            [-1, -(1 << 63), (1 << 63) - 1, n_windows, n_windows + 49, n_windows + 50, 1 << 40],
            capacity,
        )
        ids = np.where(rng.random(capacity) < wild, strange, ids)
        gap = -(14 * capacity) % 8 + 8 * int(rng.integers(3))
        pieces += [codes.tobytes(), ids.astype("<i8").tobytes(), bytes(gap)]
        offset += 14 * capacity + gap
    # The last list ends where the data does.
    gap = len(pieces[-1])
    data = np.frombuffer(b"".join(pieces)[: offset - gap], np.uint8)
    digits = rng.integers(48, 58, n_digits).astype(np.uint8)
    return walled_lists(Lists(directory, data, digits, n_windows, n_windows + 50))


def random_parts(rng, bits, shape="smooth"):
    n = 1 << bits
    of_cells = rng.normal(0, 40, (2, n)).astype(np.float32)
    of_codes = rng.normal(0, 15, (12, 16)).astype(np.float32)
    if shape == "constant":
        of_cells[:] = 7
        of_codes[:] = -3
    elif shape == "few":  # many ties
        of_cells = rng.integers(-2, 3, (2, n)).astype(np.float32)
        of_codes = rng.integers(0, 3, (12, 16)).astype(np.float32)
    elif shape == "uneven":
        of_cells *= np.array([[1e-2], [100]], np.float32)
        of_codes *= 10.0 ** rng.integers(-3, 3, (12, 1))
        of_codes = of_codes.astype(np.float32)
    costs = np.full((WINDOW, 16), 1 << 24, np.int32)
    costs[:, :10] = rng.integers(-5, 90, (WINDOW, 10))
    return of_cells, of_codes, costs


def limits_at(rng, parts, cell_share, code_share):
    """Limits that hold about these shares of the cells and codes; often equal to a cell's sum."""
    of_cells, of_codes, _ = parts
    sums = np.sort((of_cells[1][:, None] + of_cells[0]).ravel())
    cell = float(sums[min(int(cell_share * len(sums)), len(sums) - 1)])
    low = float(of_codes.min(axis=1).sum(dtype=np.float64))
    high = float(of_codes.max(axis=1).sum(dtype=np.float64))
    return Limits(cell, cell + low + code_share * (high - low))


def middle_limit(parts):
    return int(parts[2][:, :10].mean() * WINDOW)


SHAPES = ("smooth", "constant", "few", "uneven")


def run_all(search, probes, limit, previous=NOWHERE, span=None):
    search.begin(probes, *(span or (0, probes.n_lists)), previous)
    rows = []
    while not search.finished:
        rows.append(search.run(limit))
    joined = np.concatenate([np.empty((0, 2), np.int64), *rows])
    return sorted(map(tuple, joined.tolist()))


def as_tuple(counts):
    return counts.n_scanned, counts.n_scored, counts.n_bad


# --- find ---------------------------------------------------------------------------------------


def found_cells(probes, lists):
    """{cell: sum} of probes, which must not repeat; offsets of lists in use are distinct."""
    by_offset = {
        tuple(row): cell for cell, row in enumerate(lists.directory.tolist()) if row[0] > 0
    }
    rows = probes.rows
    cells = [
        by_offset[size, capacity, offset]
        for size, capacity, offset in zip(
            rows["size"].tolist(), rows["capacity"].tolist(), rows["offset"].tolist(), strict=True
        )
    ]
    assert len(set(cells)) == len(cells)
    return dict(zip(cells, rows["sum"].tolist(), strict=True))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", [1, 2, 4, 6])
def test_every_list_within_the_limits_is_found_once_and_no_other(kernel, shape, bits):
    rng = np.random.default_rng([bits, SHAPES.index(shape)])
    lists = random_lists(rng, bits)
    search = ListSearch(lists, kernel)
    for cell_share, code_share in [(0, 0.1), (0.1, 0.5), (0.5, 0), (0.5, 0.3), (1, 1)]:
        parts = random_parts(rng, bits, shape)
        query = ListQuery(*parts)
        limits = limits_at(rng, parts, cell_share, code_share)
        for seen in (-math.inf, limits_at(rng, parts, cell_share / 2, 0).cell, math.inf):
            probes = search.find_probes(query, limits, seen)
            expected = slow_probes(parts, lists, limits, seen)
            assert found_cells(probes, lists) == expected
            assert probes.n_windows == sum(int(lists.directory[cell, 0]) for cell in expected)
            assert probes.n_damaged == 0
    assert found_cells(search.find_probes(query, EVERYTHING), lists) == slow_probes(
        parts, lists, EVERYTHING
    )
    assert search.find_probes(query, NOWHERE).n_lists == 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_limit_equal_to_a_sum_is_within_and_what_is_above_it_is_not_found_again(kernel):
    rng = np.random.default_rng(5)
    lists = random_lists(rng, 4, sizes=(1, 2))
    parts = random_parts(rng, 4, "few")
    query = ListQuery(*parts)
    search = ListSearch(lists, kernel)
    totals = slow_probes(parts, lists, EVERYTHING)
    at = sorted(totals.values())[100]
    near = found_cells(search.find_probes(query, Limits(at, math.inf)), lists)
    assert near == {cell: total for cell, total in totals.items() if total <= at}
    far = found_cells(search.find_probes(query, EVERYTHING, above=at), lists)
    assert far == {cell: total for cell, total in totals.items() if total > at}
    # The prediction limit too: the cheapest code of a cell just reaches it.
    just = Limits(math.inf, at + query.code_floor)
    assert found_cells(search.find_probes(query, just), lists) == near


@pytest.mark.parametrize("kernel", KERNELS)
def test_more_probes_than_there_is_room_for_at_first(kernel):
    """8 bits: 65536 lists, past the first buffer and through many rounds of pending cells."""
    rng = np.random.default_rng(8)
    n_cells = 1 << 16
    size = rng.integers(0, 3, n_cells)
    offset = np.cumsum(28 * size) - 28 * size
    directory = np.stack([size, 2 * size, offset], axis=1)
    data = np.zeros(int(28 * size.sum()), np.uint8)
    lists = Lists(directory, data, np.full(WINDOW, 48, np.uint8), 1, 1)
    parts = random_parts(rng, 8)
    search = ListSearch(lists, kernel)
    for share in (0.01, 0.3, 1.0):  # the grown buffer is used again for fewer
        for limits in (limits_at(rng, parts, share, 1), EVERYTHING):
            probes = search.find_probes(ListQuery(*parts), limits)
            assert found_cells(probes, lists) == slow_probes(parts, lists, limits)
    assert probes.n_lists > 16 * PENDING


@pytest.mark.parametrize("kernel", KERNELS)
def test_rows_of_the_directory_that_leave_the_data_are_counted_and_left_out(kernel):
    rng = np.random.default_rng(9)
    sound = random_lists(rng, 1, sizes=(3, 20))
    parts = random_parts(rng, 1)
    query = ListQuery(*parts)
    n_bytes = len(sound.data)
    last = int(np.argmax(sound.directory[:, 2]))
    for size, capacity, offset in [
        (-1, 5, 0),
        (6, 5, 0),
        (1, 5, -8),
        (1, 5, n_bytes - 69),
        (1, n_bytes // 14 + 1, 0),
        (1, -1, 0),
        (1, 1 << 62, 0),
        (1, 5, 1 << 62),
        (1 << 62, (1 << 64) // 14 + 1, 0),
    ]:
        directory = sound.directory.copy()
        directory[last] = size, capacity, offset
        lists = Lists(directory, sound.data, sound.digits, sound.n_windows, sound.n_stored)
        probes = ListSearch(lists, kernel).find_probes(query, EVERYTHING)
        assert probes.n_damaged == 1
        assert probes.n_lists == len(directory) - 1
    directory[last] = 1, 5, n_bytes - 70
    probes = ListSearch(lists, kernel).find_probes(query, EVERYTHING)
    assert probes.n_damaged == 0


# --- search -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_a_search_finds_what_plain_loops_find(kernel, shape, seed):
    rng = np.random.default_rng([seed, SHAPES.index(shape)])
    lists = random_lists(rng, 3, wild=0.1 * (seed % 2))
    search = ListSearch(lists, kernel)
    for cell_share, code_share in [(0.1, 0.2), (0.5, 0.1), (0.7, 0.5), (1, 1)]:
        parts = random_parts(rng, 3, shape)
        limits = limits_at(rng, parts, cell_share, code_share)
        probes = search.find_probes(ListQuery(*parts), limits)
        limit = middle_limit(parts)
        expected, *counts = slow_search(parts, lists, limits, limit)
        assert run_all(search, probes, limit) == expected
        assert as_tuple(search.counts) == tuple(counts)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("spare", [0, 1, 2, 7])
@pytest.mark.parametrize("size", [*range(1, 20), 31, 32, 33, 1000])
def test_lists_of_every_size_to_the_last_byte_of_the_data(kernel, size, spare):
    rng = np.random.default_rng(size)
    lists = random_lists(rng, 1, sizes=(size,), spare=(spare,), n_digits=20_000)
    assert any(
        offset + 14 * capacity == len(lists.data)
        for _, capacity, offset in lists.directory.tolist()
    )
    parts = random_parts(rng, 1)
    search = ListSearch(lists, kernel)
    probes = search.find_probes(ListQuery(*parts), EVERYTHING)
    limit = middle_limit(parts)
    expected, *counts = slow_search(parts, lists, EVERYTHING, limit)
    assert counts[0] == counts[1] == 4 * size
    assert run_all(search, probes, limit) == expected
    assert as_tuple(search.counts) == tuple(counts)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("subcode", range(12))
def test_each_nibble_of_a_code_is_looked_up_in_its_own_row(kernel, subcode):
    """By itself, and on top of the largest sum of the other eleven."""
    rng = np.random.default_rng(subcode)
    of_cells, of_codes, costs = random_parts(rng, 1, "constant")
    of_codes[:] = [0] * 15 + [127]
    of_codes[subcode] = rng.permutation(16) * 8
    of_codes[subcode, of_codes[subcode] == 120] = 127
    parts = of_cells, of_codes, costs
    lists = random_lists(rng, 1, sizes=(48,), spare=(0,))
    for offset in lists.directory[:, 2].tolist():
        for i, nibble in enumerate(rng.permutation(np.repeat(range(16), 3)).tolist()):
            others = (1 << 48) - 1 if i % 2 else 0
            code = others & ~(15 << 4 * subcode) | nibble << 4 * subcode
            at = offset + 6 * i
            lists.data[at : at + 6] = np.frombuffer(code.to_bytes(6, "little"), np.uint8)
    search = ListSearch(lists, kernel)
    query = ListQuery(*parts)
    assert query.unit == 1
    total = float(of_cells[1, 0] + of_cells[0, 0])
    for most in (0, 8, 63.5, 111, 112, 127, 1397, 1460, 1509, 1523, 1524):
        limits = Limits(math.inf, total + most)
        expected, *counts = slow_search(parts, lists, limits, 1 << 40)
        assert run_all(search, search.find_probes(query, limits), 1 << 40) == expected
        assert as_tuple(search.counts) == tuple(counts)
    assert counts[1] == 4 * 48


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_wider_pass_finds_exactly_the_difference(kernel, shape):
    rng = np.random.default_rng(20 + SHAPES.index(shape))
    lists = random_lists(rng, 3)
    search = ListSearch(lists, kernel)
    for first, second in [
        ((0.2, 0.2), (0.5, 0.3)),
        ((0.2, 0.2), (0.2, 0.4)),
        ((0.3, 0.1), (0.9, 0.2)),
        ((0.5, 0.0), (0.5, 0.0)),
        ((1.0, 1.0), (1.0, 1.0)),
    ]:
        parts = random_parts(rng, 3, shape)
        query = ListQuery(*parts)
        narrow = limits_at(rng, parts, *first)
        wide = limits_at(rng, parts, *second)
        wide = Limits(max(wide.cell, narrow.cell), max(wide.prediction, narrow.prediction))
        limit = middle_limit(parts)
        once = run_all(search, search.find_probes(query, narrow), limit)
        again = run_all(search, search.find_probes(query, wide), limit, narrow)
        expected, *counts = slow_search(parts, lists, wide, limit, narrow)
        assert again == expected
        assert as_tuple(search.counts) == tuple(counts)
        everything, *_ = slow_search(parts, lists, wide, limit)
        assert sorted(once + again) == everything
        # Cells that the first pass did not reach, by themselves.
        same = Limits(wide.cell, narrow.prediction)
        near = run_all(search, search.find_probes(query, narrow), limit)
        far = run_all(search, search.find_probes(query, same, above=narrow.cell), limit)
        assert sorted(near + far) == slow_search(parts, lists, same, limit)[0]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("capacity", range(1, 21))
def test_a_search_goes_on_where_the_table_of_finds_was_full(kernel, capacity):
    rng = np.random.default_rng(capacity)
    lists = random_lists(rng, 3, wild=0.2)
    parts = random_parts(rng, 3)
    limits = limits_at(rng, parts, 0.9, 0.9)
    search = ListSearch(lists, kernel, capacity)
    probes = search.find_probes(ListQuery(*parts), limits)
    limit = middle_limit(parts)
    expected, *counts = slow_search(parts, lists, limits, limit)
    assert len(expected) > 2 * WAITING
    assert run_all(search, probes, limit) == expected
    assert as_tuple(search.counts) == tuple(counts)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_limit_lowered_on_the_way_loses_nothing_within_it(kernel):
    rng = np.random.default_rng(77)
    lists = random_lists(rng, 3)
    parts = random_parts(rng, 3)
    search = ListSearch(lists, kernel, 5)
    probes = search.find_probes(ListQuery(*parts), EVERYTHING)
    limit = middle_limit(parts)
    everything, *_ = slow_search(parts, lists, EVERYTHING, limit)
    search.begin(probes, 0, probes.n_lists)
    rows = []
    while not search.finished:
        rows += map(tuple, search.run(limit).tolist())
        limit -= 1
    assert set(rows) <= set(everything)
    assert set(rows) >= {row for row in everything if row[1] <= limit + 1}
    # A table that is full, then nothing else within the limit.
    search.begin(probes, 0, probes.n_lists)
    assert len(search.run(10**6)) == 5
    assert len(search.run(-(10**6))) == 0
    assert search.finished


@pytest.mark.parametrize("kernel", KERNELS)
def test_ids_that_are_no_windows_are_never_read(kernel):
    """Digits end right behind the last window; wrong ids would be far outside, or just."""
    rng = np.random.default_rng(31)
    lists = random_lists(rng, 1, sizes=(40, 300), wild=0.5)
    parts = random_parts(rng, 1)
    search = ListSearch(lists, kernel)
    probes = search.find_probes(ListQuery(*parts), EVERYTHING)
    expected, *counts = slow_search(parts, lists, EVERYTHING, 1 << 40)
    assert run_all(search, probes, 1 << 40) == expected
    assert as_tuple(search.counts) == tuple(counts)
    assert counts[2] > 100
    assert counts[1] + counts[2] < counts[0]  # some are stored, but of no window
    none = Lists(lists.directory, lists.data, lists.digits[:WINDOW], 0, 0)
    search = ListSearch(none, kernel)
    assert run_all(search, search.find_probes(ListQuery(*parts), EVERYTHING), 1 << 40) == []
    assert search.counts.n_bad == counts[0]


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_first_and_the_last_window_and_a_limit_that_is_just_reached(kernel):
    rng = np.random.default_rng(32)
    lists = random_lists(rng, 1, sizes=(1,))
    starts = [0, lists.n_windows - 1]
    for cell, start in enumerate(starts):
        _, capacity, offset = lists.directory[cell].tolist()
        at = offset + 6 * capacity
        lists.data[at : at + 8] = np.frombuffer(start.to_bytes(8, "little"), np.uint8)
    parts = random_parts(rng, 1)
    found, *_ = slow_search(parts, lists, EVERYTHING, 1 << 40)
    search = ListSearch(lists, kernel)
    probes = search.find_probes(ListQuery(*parts), EVERYTHING)
    for start, distance in found:
        assert (start, distance) in run_all(search, probes, distance)
        assert (start, distance) not in run_all(search, probes, distance - 1)
    assert {start for start, _ in found} >= set(starts)
    assert run_all(search, probes, -(1 << 60)) == []


@pytest.mark.parametrize("kernel", KERNELS)
def test_threads_that_share_probes_find_what_one_finds(kernel):
    rng = np.random.default_rng(40)
    lists = random_lists(rng, 4)
    parts = random_parts(rng, 4)
    search = ListSearch(lists, kernel)
    probes = search.find_probes(ListQuery(*parts), limits_at(rng, parts, 0.6, 0.5))
    limit = middle_limit(parts)
    expected = run_all(search, probes, limit)
    for n_threads in (2, 5):
        bounds = [probes.n_lists * i // n_threads for i in range(n_threads + 1)]
        results = [[] for _ in range(n_threads)]

        def work(i, bounds=bounds, results=results):
            span = bounds[i], bounds[i + 1]
            results[i] = run_all(ListSearch(lists, kernel), probes, limit, span=span)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(itertools.chain(*results)) == expected


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_kernel_any_question(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), label="seed"))
    bits = data.draw(st.integers(1, 3), label="bits")
    shape = data.draw(st.sampled_from(SHAPES), label="shape")
    lists = random_lists(
        rng, bits, sizes=(0, 1, 5, 16, 40), wild=data.draw(st.sampled_from((0, 0.3)))
    )
    parts = random_parts(rng, bits, shape)
    share = st.floats(0, 1)
    limits = limits_at(rng, parts, data.draw(share), data.draw(share))
    previous = limits_at(rng, parts, data.draw(share), data.draw(share))
    previous = Limits(min(previous.cell, limits.cell), min(previous.prediction, limits.prediction))
    previous = data.draw(st.sampled_from((NOWHERE, previous)))
    limit = data.draw(st.integers(-500, 8000))
    expected, *counts = slow_search(parts, lists, limits, limit, previous)
    for kernel in KERNELS:
        search = ListSearch(lists, kernel, data.draw(st.integers(1, 500)))
        probes = search.find_probes(ListQuery(*parts), limits)
        assert run_all(search, probes, limit, previous) == expected
        assert as_tuple(search.counts) == tuple(counts)


# --- the rest -----------------------------------------------------------------------------------


def test_an_instruction_set_this_processor_lacks_is_refused_by_name():
    with pytest.raises(UsageError, match=r"instruction set avx9000 is not one of .*: .*plain"):
        load_list_kernel("avx9000")


TARGETS = {
    VNNI: (
        "x86_64-linux-gnu",
        "icelake-server",
        ("vpermt2w", "vpermb", "vpdpbusd", "vpermd", "prefetcht0"),
    ),
    PLAIN: ("aarch64-linux-gnu", "generic", ("prfm",)),
}


@pytest.mark.parametrize("isa", LIST_SETS, ids=lambda isa: isa.name)
def test_every_set_compiles_to_its_own_instructions(isa):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    triple, cpu, wanted = TARGETS[isa]
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=3)
    module = llvm.parse_assembly(list_assembly(isa))
    module.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    text = machine.emit_assembly(module)
    for instruction in wanted:
        assert instruction in text


def test_arrays_that_a_routine_would_misread_are_refused():
    rng = np.random.default_rng(1)
    lists = random_lists(rng, 1)
    of_cells, of_codes, costs = random_parts(rng, 1)
    fields = lists.directory, lists.data, lists.digits
    with pytest.raises(ValueError, match=r"int32\[4, 3\] is not contiguous int64\[4, 3\]"):
        Lists(lists.directory.astype(np.int32), *fields[1:], 1, 1)
    with pytest.raises(ValueError, match="n_windows is 2918; 0 to 2917 can be scored"):
        Lists(*fields, 2918, 5000)
    with pytest.raises(ValueError, match=r"float64\[2, 2\] is not contiguous float32\[2, 2\]"):
        ListQuery(of_cells.astype(np.float64), of_codes, costs)
    with pytest.raises(ValueError, match=r"float32\[2, 512\] is not .* float32\[2, 256\]"):
        ListQuery(np.zeros((2, 512), np.float32), of_codes, costs)
    with pytest.raises(ValueError, match=r"int32\[84, 10\] is not contiguous int32\[84, 16\]"):
        ListQuery(of_cells, of_codes, costs[:, :10])
    search = ListSearch(lists)
    with pytest.raises(ValueError, match=r"int64\[4, 3\] is not contiguous int64\[16, 3\]"):
        search.find_probes(ListQuery(*random_parts(rng, 2)), EVERYTHING)
    probes = search.find_probes(ListQuery(of_cells, of_codes, costs), EVERYTHING)
    with pytest.raises(ValueError, match=rf"probes \[0, 99\) of {probes.n_lists}"):
        search.begin(probes, 0, 99)


def test_levels_of_a_question():
    of_codes = np.zeros((12, 16), np.float32)
    of_codes[3] = np.arange(16) * 127 - 50
    query = ListQuery(np.zeros((2, 2), np.float32), of_codes, np.zeros((84, 16), np.int32))
    assert query.code_floor == -50
    assert query.unit == 15
    assert query.levels[3].tolist() == [round(127 * i / 15) for i in range(16)]
    assert query.levels.sum() == query.levels[3].sum()
