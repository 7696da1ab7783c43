import ctypes
import mmap
from concurrent.futures import ThreadPoolExecutor

import llvmlite.binding as llvm
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from indexer import coding
from indexer.cells import CODEWORDS, LARGEST_BITS, SMALLEST_BITS, Coder
from indexer.coding import COMPILED, NUMPY, NUMPY_BLOCK, WindowCoder, assembly, available
from indexer.errors import UsageError
from indexer.projection import Projection

LENGTHS = (84, 85, 99, 100, 146, 147, 148, 1000, 5000)
LINEAR = (-9, -7, -5, -3, -1, 1, 3, 5, 7, 9)
QUADRATIC = (6, 2, -1, -3, -4, -4, -3, -1, 2, 6)

needs_vnni = pytest.mark.skipif(
    COMPILED not in available(), reason="the processor has no AVX-512 VNNI"
)
WAYS = [pytest.param(COMPILED, marks=needs_vnni), NUMPY]


def slow_nearest(point, centres):
    scores = [
        sum(x * c for x, c in zip(point, centre, strict=True))
        - (sum(c * c for c in centre) + 1) // 2
        for centre in centres
    ]
    return scores.index(max(scores))


def slow_code(coder, window):
    """(cell, code) of a list of 84 digits: plain loops over Python ints."""
    weights = coder.projection.weights.tolist()
    directions = []
    for (linear, quadratic), factor in zip(weights, coder.projection.factors, strict=True):
        total = sum(
            linear[i] * LINEAR[d] + quadratic[i] * QUADRATIC[d] for i, d in enumerate(window)
        )
        nearest = round(float(np.float32(total) * factor))  # halves go to the even neighbour
        directions.append(max(-127, min(127, nearest)))
    cell = code = 0
    left = []
    for group, centroids in enumerate(coder.centroids.tolist()):
        point = directions[24 * group : 24 * group + 24]
        index = slow_nearest(point, centroids)
        cell |= index << (coder.bits * group)
        left += [max(-128, min(127, x - c)) for x, c in zip(point, centroids[index], strict=True)]
    for part, codewords in enumerate(coder.codewords.tolist()):
        code |= slow_nearest(left[4 * part : 4 * part + 4], codewords) << (4 * part)
    return cell, code


def random_coder(seed, bits):
    """Directions of all spreads, from a few values to ones that leave ±127; extreme bytes."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (48, 2, 84), dtype=np.int8)
    weights[rng.random(weights.shape) < 0.1] = 127
    weights[rng.random(48) < 0.1] = -127
    weights[rng.random(48) < 0.1] = 0
    factors = np.exp(rng.uniform(np.log(2e-4), np.log(0.1), 48)).astype(np.float32)
    factors[:5] = (2**-10, -(2**-9), 2**-8, 1e6, -1e30)  # halves happen; far more than an int32
    centroids = rng.integers(-128, 128, (2, 1 << bits, 24), dtype=np.int8)
    codewords = rng.integers(-128, 128, (12, CODEWORDS, 4), dtype=np.int8)
    for centres in (centroids, codewords):
        centres[rng.random(centres.shape) < 0.1] = -128
        centres[rng.random(centres.shape) < 0.1] = 127
        near = rng.random(centres.shape[:2]) < 0.6  # large ones alone are hardly ever nearest
        centres[near] //= rng.integers(2, 30, (int(near.sum()), 1), dtype=np.int8)
        centres[:, -1] = centres[:, centres.shape[1] // 2]  # a tie, of four or more
    return Coder(Projection(weights, factors), centroids, codewords)


def random_digits(seed, length):
    return np.random.default_rng(seed).integers(ord("0"), ord("9") + 1, length, dtype=np.uint8)


def assert_same(found, wanted):
    for a, b, kind in zip(found, wanted, (np.uint32, np.uint64), strict=True):
        assert a.dtype == b.dtype == kind
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("bits", range(SMALLEST_BITS, LARGEST_BITS + 1))
def test_every_window_is_coded_as_by_plain_loops(name, bits):
    coder = random_coder(bits, bits)
    digits = random_digits(bits, 84 + 69)  # one block, and one that overlaps it
    cells, codes = WindowCoder(coder, name).code(digits)
    values = (digits - ord("0")).tolist()
    assert len(cells) == len(codes) == 70
    for start in (*range(0, 70, 7), 1, 62, 64, 65, 69):
        wanted = slow_code(coder, values[start : start + 84])
        assert (cells[start], codes[start]) == wanted


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("digit", "09")
def test_windows_of_one_digit(name, digit):
    coder = random_coder(5, 3)
    cells, codes = WindowCoder(coder, name).code(np.full(300, ord(digit), np.uint8))
    wanted = slow_code(coder, [int(digit)] * 84)
    assert set(zip(cells.tolist(), codes.tolist(), strict=True)) == {wanted}


@pytest.mark.parametrize("name", WAYS)
def test_of_equal_centres_the_first_is_taken(name):
    coder = random_coder(3, 7)
    same = Coder(
        coder.projection,
        np.repeat(coder.centroids[:, :1], 128, axis=1),
        np.repeat(coder.codewords[:, :1], CODEWORDS, axis=1),
    )
    cells, codes = WindowCoder(same, name).code(random_digits(3, 1000))
    assert not cells.any()
    assert not codes.any()


def directions_are(values):
    """A projection whose direction k is values[k] for windows that begin with 1, 0 for a 5."""
    weights = np.zeros((48, 2, 84), np.int8)
    weights[:, :, 0] = [2, -4]  # 2·LINEAR - 4·QUADRATIC: -22 for 1; 18 for 5
    return Projection(weights, (np.array(values) / -22).astype(np.float32))


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize(("x", "centroid"), [(127, -128), (-127, 127), (-127, -128), (127, 127)])
def test_residuals_saturate(name, x, centroid):
    centroids = np.full((2, 2, 24), centroid, np.int8)
    codewords = np.zeros((12, CODEWORDS, 4), np.int8)
    codewords[:, :, 0] = np.linspace(-128, 127, CODEWORDS).astype(np.int8)
    coder = Coder(directions_are([x] * 48), centroids, codewords)
    digits = np.full(200, ord("1"), np.uint8)
    wanted = slow_code(coder, [1] * 84)
    part = {(127, -128): 15, (-127, 127): 0}.get((x, centroid))
    if part is not None:
        assert wanted == (0, sum(part << (4 * m) for m in range(12)))
    cells, codes = WindowCoder(coder, name).code(digits)
    assert set(zip(cells.tolist(), codes.tolist(), strict=True)) == {wanted}


@needs_vnni
@pytest.mark.parametrize("bits", range(SMALLEST_BITS, LARGEST_BITS + 1))
@pytest.mark.parametrize("length", LENGTHS)
def test_compiled_and_numpy_agree(bits, length):
    coder = random_coder(100 * bits + length, bits)
    digits = random_digits(length, length)
    found = WindowCoder(coder, COMPILED).code(digits)
    assert len(found[0]) == length - 83
    assert_same(found, WindowCoder(coder, NUMPY).code(digits))
    # A learned coder uses all its cells; so must a test.
    if length == 5000:
        assert len(np.unique(found[0])) > min(1 << bits, 30)
        assert len(np.unique(found[1])) > 1000
        for part in range(12):
            assert len(np.unique(found[1] >> np.uint64(4 * part) & np.uint64(15))) > 2
        assert not (found[1] >> np.uint64(48)).any()


@needs_vnni
@pytest.mark.parametrize("weight", [-127, 127])
def test_the_largest_sums(weight):
    """No other weights and digits reach so far: 84 × 127 × (9 + 6)."""
    coder = random_coder(1, 4)
    weights = np.full((48, 2, 84), weight, np.int8)
    factors = np.linspace(7e-4, 9e-4, 48, dtype=np.float32)  # sums of up to 160,020 come to ±127
    largest = Coder(Projection(weights, factors), coder.centroids, coder.codewords)
    for digit in "09":
        digits = np.full(147, ord(digit), np.uint8)
        found = WindowCoder(largest, COMPILED).code(digits)
        assert_same(found, WindowCoder(largest, NUMPY).code(digits))
        assert (found[0][0], found[1][0]) == slow_code(largest, [int(digit)] * 84)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("piece", [1, 50, 64, 65, 911])
def test_any_split_with_83_digits_in_common_is_the_same(name, piece):
    coder = random_coder(8, 5)
    digits = random_digits(8, 1500)
    windows = WindowCoder(coder, name)
    begins = range(0, 1500 - 83, piece)
    pieces = [windows.code(digits[begin : begin + piece + 83]) for begin in begins]
    joined = tuple(np.concatenate([part[i] for part in pieces]) for i in range(2))
    assert_same(joined, windows.code(digits))


def test_blocks_of_numpy_meet():
    coder = random_coder(9, 2)
    digits = random_digits(9, NUMPY_BLOCK + 183)
    windows = WindowCoder(coder, NUMPY)
    cells, codes = windows.code(digits)
    assert len(cells) == NUMPY_BLOCK + 100
    begin = NUMPY_BLOCK - 100
    assert_same((cells[begin:], codes[begin:]), windows.code(digits[begin:]))


@pytest.mark.parametrize("name", WAYS)
def test_threads_share_a_coder(name):
    coder = random_coder(10, 6)
    n_windows = 20_000 if name == COMPILED else 2_000
    digits = random_digits(10, 8 * n_windows + 83)
    windows = WindowCoder(coder, name)
    stretches = [digits[k * n_windows : (k + 1) * n_windows + 83] for k in range(8)]
    alone = [windows.code(stretch) for stretch in stretches]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(windows.code, stretches), alone, strict=True):
            assert_same(found, wanted)


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_the_band_is_made_once(monkeypatch):
    windows = WindowCoder(random_coder(15, 2), NUMPY)
    monkeypatch.setattr(Projection, "band", lambda _: pytest.fail("the band is made again"))
    windows.code(random_digits(15, 500))


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("length", [0, 1, 83])
def test_fewer_than_84_digits_hold_no_window(name, length):
    cells, codes = WindowCoder(random_coder(1, 1), name).code(random_digits(1, length))
    assert len(cells) == len(codes) == 0


@pytest.mark.parametrize("name", WAYS)
def test_digits_and_tables_need_not_be_contiguous(name):
    coder = random_coder(11, 4)
    digits = random_digits(11, 500)
    apart = np.repeat(digits, 2)[::2]
    turned = Coder(
        Projection(
            np.asfortranarray(coder.projection.weights),
            np.repeat(coder.projection.factors, 2)[::2],
        ),
        np.asfortranarray(coder.centroids),
        np.asfortranarray(coder.codewords),
    )
    assert_same(WindowCoder(turned, name).code(apart), WindowCoder(coder, name).code(digits))


@needs_vnni
@pytest.mark.parametrize("length", [147, 148, 210, 211, 500])
def test_nothing_is_read_beyond_either_end(length):
    """Pages that may not be read lie around the digits: a byte too far ends the test run."""
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 3 * page)
    whole = np.frombuffer(memory, np.uint8)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    digits = random_digits(length, length)
    windows = WindowCoder(random_coder(12, 4), COMPILED)
    wanted = windows.code(digits)
    outer = [whole.ctypes.data, whole.ctypes.data + 2 * page]
    assert [protect(address, page, 0) for address in outer] == [0, 0]
    try:
        for begin in (page, 2 * page - length):
            whole[begin : begin + length] = digits
            assert_same(windows.code(whole[begin : begin + length]), wanted)
    finally:
        for address in outer:
            protect(address, page, mmap.PROT_READ | mmap.PROT_WRITE)


def test_the_best_way_is_the_default():
    assert WindowCoder(random_coder(1, 1)).name == available()[0]
    assert available()[-1] == NUMPY


def test_an_unknown_way_is_refused_by_name():
    message = f"way of coding abacus is not one of this processor's: {', '.join(available())}"
    with pytest.raises(UsageError, match=message):
        WindowCoder(random_coder(1, 1), "abacus")


def test_a_processor_without_vnni_multiplies(monkeypatch):
    monkeypatch.setattr(coding, "host_features", lambda: frozenset({"avx512f", "avx512bw"}))
    coder = random_coder(13, 3)
    assert available() == (NUMPY,)
    assert WindowCoder(coder).name == NUMPY
    with pytest.raises(UsageError, match=f"way of coding {COMPILED} is not .*: {NUMPY}$"):
        WindowCoder(coder, COMPILED)


@pytest.mark.parametrize(("cpu", "key"), [("cascadelake", "vpslld"), ("icelake-server", "vpshldd")])
def test_it_compiles_to_dot_products_for_every_processor_with_vnni(cpu, key):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple("x86_64-linux-gnu")
    machine = target.create_target_machine(cpu=cpu, features="", opt=3)
    module = llvm.parse_assembly(assembly())
    module.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    text = machine.emit_assembly(module)
    for instruction in ("vpdpbusd", "vpmaxsd", "vcvtps2dq", key):
        assert instruction in text
    assert "vfmadd" not in text
