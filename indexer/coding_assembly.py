"""The compiled coder's routine, as LLVM IR: 64 windows at a time by AVX-512 VNNI.

One instruction does nearly all of it: `vpdpbusd` adds, in each of 16 lanes of int32, four products
of an unsigned and a signed byte. The module indexer/coding.py makes its tables and calls it.

**Lanes.** A block is 64 windows. Lane j of *phase* r (0 … 3) is window 4j + r of the block, because
then no byte needs to be moved: the 64 bytes from digit r + 4t on are, four to a lane, the pixels
4t … 4t + 3 of the windows r, r + 4, r + 8, … Example, phase 1 and t = 0: lane 0 holds the digits
1 2 3 4, which begin window 1; lane 1 holds 5 6 7 8, which begin window 5.

**Directions.** The digits become two streams of unsigned bytes, the features less their least value
(`2d`, and the parabola + 4); each sum starts with what that adds. Four directions are a *pack*:
the bytes of a lane. Packs hold x + 128, as the instruction wants one operand unsigned. A group of
directions is 6 packs, a subcode's are one.

**Nearest.** The *score* of a centre is ⟨x, c⟩ - ⌈|c|²/2⌉, again a sum that starts with a constant,
-⌈|c|²/2⌉ - 128 Σc. The best is the largest *key*, score · 256 + (255 - index): one shift by two
registers and one maximum a centre, and the smaller index wins where scores are equal. Example:
score 7 of centres 2 and 5 are the keys 2045 and 2042. Scores are below 2²⁰, so keys fit.

**Words.** What is found of a window are three of 32 bits: the cell, and the halves of the code.

The routine is bound by the instruction, of which there are two a cycle: 2,016 for the directions,
3,072 for the cells (8 bits) and 192 for the codes of every 16 windows, at 7.7 a nanosecond 43 ns a
window. Of the 55 that it takes, directions have 18, cells 30, residuals 3 and codes 4. What is
above the bound is mostly the shifts of keys, which take the same ports: additions in their place,
which would order nothing, save 5 ns.
"""

from collections.abc import Iterable

from indexer.cells import (
    CODEWORDS,
    GROUP_DIRECTIONS,
    GROUPS,
    LARGEST_BITS,
    SUBCODE_BITS,
    SUBCODE_DIRECTIONS,
    SUBCODES,
)
from indexer.ir import JobFields, load, loop, row, store
from indexer.projection import DIRECTIONS, LARGEST
from indexer.window import WINDOW

_BYTES, _INTS, _FLOATS = "<64 x i8>", "<16 x i32>", "<16 x float>"
_VECTOR = 64  # bytes
_LANES = 16
_PHASES = 4
BLOCK = _LANES * _PHASES
BLOCK_DIGITS = BLOCK + WINDOW - 1
_STREAM = 3 * _VECTOR  # bytes kept for the digits of a block as one feature
_PACK = 4  # directions
_PACKS = DIRECTIONS // _PACK
_GROUP_PACKS = GROUP_DIRECTIONS // _PACK
_PART_PACKS = SUBCODE_DIRECTIONS // _PACK
_PACK_BYTES = _PHASES * _VECTOR
QUADS = WINDOW // 4
# A pass is 12 directions of 2 phases: 24 sums in registers, and each load serves 2 or 12 of them.
# 4 directions of 4 phases, 16 sums, take 8 % longer.
_PASS_PACKS = 3
_PASS_PHASES = 2
PASS = _PASS_PACKS * _PACK
_RECORD_EXTRA = 2  # int32s of a record after its weights: what the score starts with, and the rank
# Phases that share the records of centres. 6 packs of 2 phases fit in the registers; those of 4 do
# not, and cells take 6 % longer.
_GROUP_PHASES = 2
_PART_PHASES = 4
_WORD_PARTS = 32 // SUBCODE_BITS  # subcodes in a word
_WORDS = 1 + -(-SUBCODES // _WORD_PARTS)

_NUMBERS = ("n_windows", "n_centroids", "bits")  # n_windows is at least BLOCK
_ARRAYS = (
    "digits",  # uint8[n_windows + 83], ASCII
    "features",  # uint8[2, 64]: by digit, 4 times over
    "weights",  # int8[passes, 21, 2, directions of a pass, 4]
    "offsets",  # int32[48]: what each sum starts with
    "factors",  # float32[48]
    "centroids",  # int8[2, n_centroids, 24]
    "centroid_records",  # int32[2, n_centroids, 6 + 2]
    "codeword_records",  # int32[12, 16, 1 + 2]
    "cells",  # out: uint32[n_windows]
    "codes",  # out: uint64[n_windows]
)
JOB = JobFields(_NUMBERS + _ARRAYS, _ARRAYS)

# The dot product's operands are declared as of LLVM 20; later ones take bytes, and convert this.
_DECLARATIONS = f"""
declare {_INTS} @llvm.x86.avx512.vpdpbusd.512({_INTS}, {_INTS}, {_INTS})
declare {_INTS} @llvm.x86.avx512.mask.cvtps2dq.512({_FLOATS}, {_INTS}, i16, i32)
declare <32 x i16> @llvm.x86.avx512.packssdw.512({_INTS}, {_INTS})
declare {_BYTES} @llvm.x86.avx512.packsswb.512(<32 x i16>, <32 x i16>)
declare {_BYTES} @llvm.x86.avx512.pshuf.b.512({_BYTES}, {_BYTES})
declare {_BYTES} @llvm.smax.v64i8({_BYTES}, {_BYTES})
declare {_BYTES} @llvm.ssub.sat.v64i8({_BYTES}, {_BYTES})
declare {_INTS} @llvm.smax.v16i32({_INTS}, {_INTS})
declare {_INTS} @llvm.fshl.v16i32({_INTS}, {_INTS}, {_INTS})
declare {_INTS} @llvm.x86.avx512.mask.gather.dpi.512({_INTS}, ptr, {_INTS}, <16 x i1>, i32)
declare i64 @llvm.smin.i64(i64, i64)
"""


def assembly() -> str:
    """The routine `code` as LLVM IR; it serves every coder, whatever its bits."""
    nearest = _nearest(_GROUP_PACKS, _GROUP_PHASES) + _nearest(_PART_PACKS, _PART_PHASES)
    return _DECLARATIONS + _project() + nearest + _subtract() + _interleave() + _code()


def _read(name: str, base: str, offset: int, kind: str, align: int = 1) -> str:
    return load(name, base, offset, kind, align)


def _write(name: str, base: str, offset: int, kind: str, align: int = _VECTOR) -> str:
    return store(name, base, offset, kind, align)


def _read_all_lanes(name: str, base: str, offset: int, kind: str = "i32") -> str:
    """IR that loads a number into all lanes of %name."""
    return _read(f"{name}.one", base, offset, kind, 4) + _all_lanes(name, f"%{name}.one", kind)


def _all_lanes(name: str, number: str, kind: str) -> str:
    """IR of a number in all lanes of %name."""
    vector = f"<{_LANES} x {kind}>"
    return f"""%{name}.first = insertelement {vector} poison, {kind} {number}, i64 0
%{name} = shufflevector {vector} %{name}.first, {vector} poison, <{_LANES} x i32> zeroinitializer
"""


def _mask(picks: Iterable[int]) -> str:
    numbers = [f"i32 {pick}" for pick in picks]
    return f"<{len(numbers)} x i32> <{', '.join(numbers)}>"


def _dot(name: str, start: str, data: str, weights: str) -> str:
    """IR of %name = start + products of unsigned data and signed weights, four to a lane."""
    operands = f"{_INTS} {start}, {_INTS} {data}, {_INTS} {weights}"
    return f"%{name} = call {_INTS} @llvm.x86.avx512.vpdpbusd.512({operands})\n"


def _spell() -> str:
    """IR that turns the digits of a block into its two streams.

    The third load ends with the last digit and overlaps the second, so that nothing is read past
    the input.
    """
    text = ""
    for i, begin in enumerate((0, _VECTOR, BLOCK_DIGITS - _VECTOR)):
        text += _read(f"ascii{i}", "from", begin, _BYTES)
        for f in range(2):
            operands = f"{_BYTES} %table{f}, {_BYTES} %ascii{i}"
            text += f"%feature{f}.{i} = call {_BYTES} @llvm.x86.avx512.pshuf.b.512({operands})\n"
            text += _write(f"feature{f}.{i}", "streams", f * _STREAM + begin, _BYTES, 1)
    return text


def _project() -> str:
    """IR of @project: the packs of a block, x + 128, from its two streams; a pass at a time."""
    sums = [f"%sum{d}.{r}" for d in range(PASS) for r in range(_PASS_PHASES)]
    body = row("of.pass", "weights", "pass", QUADS * 2 * PASS * 4)
    body += row("pass.offsets", "offsets", "pass", PASS * 4)
    body += row("pass.factors", "factors", "pass", PASS * 4)
    body += row("pass.packs", "packs", "pass", _PASS_PACKS * _PACK_BYTES)
    body += row("out", "pass.packs", "phase", _VECTOR)
    body += row("shifted", "streams", "phase", 1)
    for d in range(PASS):
        body += _read_all_lanes(f"offset{d}", "pass.offsets", 4 * d)
        for r in range(_PASS_PHASES):
            body += f"store {_INTS} %offset{d}, ptr %sum{d}.{r}\n"
    body += loop("quad", 0, QUADS, 1, _add_quad())
    for d in range(PASS):
        body += _read_all_lanes(f"factor{d}", "pass.factors", 4 * d, "float")
    for pack in range(_PASS_PACKS):
        for r in range(_PASS_PHASES):
            body += _round(pack, r)
    return (
        "define internal void @project(ptr %job, ptr noalias %streams, ptr noalias %packs) {\n"
        + "".join(f"{name} = alloca {_INTS}\n" for name in sums)
        + JOB.read("weights", "offsets", "factors")
        + loop("pass", 0, _PACKS // _PASS_PACKS, 1, loop("phase", 0, _PHASES, _PASS_PHASES, body))
        + "ret void\n}\n"
    )


def _add_quad() -> str:
    """IR that adds four pixels, both features, to the sums of a pass."""
    text = row("of.quad", "of.pass", "quad", 2 * PASS * 4) + row("pixels", "shifted", "quad", 4)
    for f in range(2):
        for r in range(_PASS_PHASES):
            text += _read(f"data{f}.{r}", "pixels", f * _STREAM + r, _INTS)
        for d in range(PASS):
            weights = f"weights{f}.{d}"
            text += _read_all_lanes(weights, "of.quad", 4 * (f * PASS + d))
            for r in range(_PASS_PHASES):
                old, new = f"old{f}.{d}.{r}", f"new{f}.{d}.{r}"
                text += f"%{old} = load {_INTS}, ptr %sum{d}.{r}\n"
                text += _dot(new, f"%{old}", f"%data{f}.{r}", f"%{weights}")
                text += f"store {_INTS} %{new}, ptr %sum{d}.{r}\n"
    return text


def _round(pack: int, r: int) -> str:
    """IR that takes four sums to a pack: one product, to the nearest even, ±127, + 128.

    Narrowing to 16 and to 8 bits saturates and puts direction by direction, 4 lanes of each, into
    every 16 bytes; a shuffle there makes it lane by lane.
    """
    name = f"{pack}.{r}"
    text = ""
    for d in range(_PACK * pack, _PACK * pack + _PACK):
        text += f"""%total{d}.{r} = load {_INTS}, ptr %sum{d}.{r}
%real{d}.{r} = sitofp {_INTS} %total{d}.{r} to {_FLOATS}
%scaled{d}.{r} = fmul {_FLOATS} %real{d}.{r}, %factor{d}
%whole{d}.{r} = call {_INTS} @llvm.x86.avx512.mask.cvtps2dq.512({_FLOATS} %scaled{d}.{r},
  {_INTS} zeroinitializer, i16 -1, i32 4)
"""
    for half in (0, 2):
        a, b = (f"{_INTS} %whole{_PACK * pack + half + i}.{r}" for i in range(2))
        text += f"%half{half}.{name} = call <32 x i16> @llvm.x86.avx512.packssdw.512({a}, {b})\n"
    lane_by_lane = [16 * q + 4 * d + j for q in range(4) for j in range(4) for d in range(_PACK)]
    return (
        text
        + f"""%narrow{name} = call {_BYTES} @llvm.x86.avx512.packsswb.512(
  <32 x i16> %half0.{name}, <32 x i16> %half2.{name})
%turned{name} = shufflevector {_BYTES} %narrow{name}, {_BYTES} poison, {_mask(lane_by_lane)}
%clipped{name} = call {_BYTES} @llvm.smax.v64i8({_BYTES} %turned{name},
  {_BYTES} splat (i8 {-LARGEST}))
%pack{name} = xor {_BYTES} %clipped{name}, splat (i8 -128)
"""
        + _write(f"pack{name}", "out", pack * _PACK_BYTES + r * _VECTOR, _BYTES)
    )


def _nearest(n_packs: int, together: int) -> str:
    """IR of @nearest{n_packs}: for each window of a block, the index of the nearest centre.

    It is stored, and put into the window's word %shift bits up. Each record of a centre is loaded
    once for `together` phases, whose packs stay in registers.
    """
    before = after = ""
    body = row("record", "records", "centre", 4 * (n_packs + _RECORD_EXTRA))
    body += "".join(_read_all_lanes(f"weights{k}", "record", 4 * k) for k in range(n_packs))
    body += _read_all_lanes("start", "record", 4 * n_packs)
    body += _read_all_lanes("rank", "record", 4 * n_packs + 4)
    for r in range(together):
        before += f"store {_INTS} splat (i32 {-(1 << 31)}), ptr %best{r}\n"
        score = "%start"
        for k in range(n_packs):
            at = k * _PACK_BYTES + r * _VECTOR
            before += _read(f"x{k}.{r}", "phase.packs", at, _INTS, _VECTOR)
            body += _dot(f"score{k}.{r}", score, f"%x{k}.{r}", f"%weights{k}")
            score = f"%score{k}.{r}"
        body += f"""%key{r} = call {_INTS} @llvm.fshl.v16i32({_INTS} {score}, {_INTS} %rank,
  {_INTS} splat (i32 {LARGEST_BITS}))
%old{r} = load {_INTS}, ptr %best{r}
%new{r} = call {_INTS} @llvm.smax.v16i32({_INTS} %old{r}, {_INTS} %key{r})
store {_INTS} %new{r}, ptr %best{r}
"""
        after += f"""%winner{r} = load {_INTS}, ptr %best{r}
%flipped{r} = xor {_INTS} %winner{r}, splat (i32 -1)
%index{r} = and {_INTS} %flipped{r}, splat (i32 {(1 << LARGEST_BITS) - 1})
"""
        after += _write(f"index{r}", "phase.indices", r * _VECTOR, _INTS)
        after += _read(f"word{r}", "phase.words", r * _VECTOR, _INTS, _VECTOR)
        after += f"""%raised{r} = shl {_INTS} %index{r}, %up
%both{r} = or {_INTS} %word{r}, %raised{r}
"""
        after += _write(f"both{r}", "phase.words", r * _VECTOR, _INTS)
    sweep = "".join(row(f"phase.{n}", n, "phase", _VECTOR) for n in ("packs", "indices", "words"))
    sweep += before + loop("centre", 0, "%n_centres", 1, body) + after
    arguments = """ptr noalias %packs, ptr noalias %records, i64 %n_centres, ptr noalias %indices,
  i32 %shift, ptr noalias %words"""
    return (
        f"define internal void @nearest{n_packs}({arguments}) {{\n"
        + "".join(f"%best{r} = alloca {_INTS}\n" for r in range(together))
        + _all_lanes("up", "%shift", "i32")
        + loop("phase", 0, _PHASES, together, sweep)
        + "ret void\n}\n"
    )


def _subtract() -> str:
    """IR of @subtract: turns the packs of one group into the residual + 128, in place.

    One gather a pack.
    """
    body = row("index.row", "indices", "phase", _VECTOR) + row("x", "packs", "phase", _VECTOR)
    body += _read("index", "index.row", 0, _INTS, _VECTOR)
    for k in range(_GROUP_PACKS):
        body += _read(f"x{k}", "x", k * _PACK_BYTES, _BYTES, _VECTOR)
        body += f"""%first{k} = mul {_INTS} %index, splat (i32 {_GROUP_PACKS})
%of{k} = add {_INTS} %first{k}, splat (i32 {k})
%packed{k} = call {_INTS} @llvm.x86.avx512.mask.gather.dpi.512({_INTS} zeroinitializer,
  ptr %centroids, {_INTS} %of{k}, <16 x i1> splat (i1 true), i32 4)
%bytes{k} = bitcast {_INTS} %packed{k} to {_BYTES}
%signed{k} = xor {_BYTES} %x{k}, splat (i8 -128)
%left{k} = call {_BYTES} @llvm.ssub.sat.v64i8({_BYTES} %signed{k}, {_BYTES} %bytes{k})
%unsigned{k} = xor {_BYTES} %left{k}, splat (i8 -128)
"""
        body += _write(f"unsigned{k}", "x", k * _PACK_BYTES, _BYTES)
    arguments = "ptr noalias %packs, ptr noalias %indices, ptr noalias %centroids"
    text = loop("phase", 0, _PHASES, 1, body)
    return f"define internal void @subtract({arguments}) {{\n{text}ret void\n}}\n"


def _interleave() -> str:
    """IR of @cells_out and @codes_out: store a block's words, kept phase by phase, by window."""
    twos = _mask(i + n for i in range(_LANES) for n in (0, 16))
    fours = _mask(i + n for i in range(0, 2 * _LANES, 2) for n in (0, 1, 32, 33))
    functions = ""
    for out, words in (("cells", 1), ("codes", _WORDS - 1)):
        text = ""
        for w in range(words):
            for r in range(_PHASES):
                text += _read(f"n{w}.{r}", "words", (w * _PHASES + r) * _VECTOR, _INTS, _VECTOR)
            for a, b in ((0, 1), (2, 3)):
                vectors = f"{_INTS} %n{w}.{a}, {_INTS} %n{w}.{b}"
                text += f"%pair{w}.{a} = shufflevector {vectors}, {twos}\n"
            pairs = f"<32 x i32> %pair{w}.0, <32 x i32> %pair{w}.2"
            text += f"%all{w} = shufflevector {pairs}, {fours}\n"
        if words == 1:
            text += f"store <{BLOCK} x i32> %all0, ptr %out, align 4\n"
        else:
            halves = f"<{BLOCK} x i32> %all0, <{BLOCK} x i32> %all1"
            by_window = _mask(i + n for i in range(BLOCK) for n in (0, BLOCK))
            text += f"%both = shufflevector {halves}, {by_window}\n"
            text += f"store <{2 * BLOCK} x i32> %both, ptr %out, align 8\n"
        arguments = "ptr noalias %words, ptr noalias %out"
        functions += f"define internal void @{out}_out({arguments}) {{\n{text}ret void\n}}\n"
    return functions


def _quantise() -> str:
    """IR that takes the packs of a block to its words, kept phase by phase."""
    records = 4 * (_GROUP_PACKS + _RECORD_EXTRA)
    cells = """%before = mul i64 %group, %n_centroids
%group.bits = mul i64 %group, %bits
%group.shift = trunc i64 %group.bits to i32
"""
    cells += row("group.packs", "packs", "group", _GROUP_PACKS * _PACK_BYTES)
    cells += row("group.records", "centroid_records", "before", records)
    cells += row("group.centroids", "centroids", "before", GROUP_DIRECTIONS)
    cells += f"""call void @nearest{_GROUP_PACKS}(ptr %group.packs, ptr %group.records,
  i64 %n_centroids, ptr %indices, i32 %group.shift, ptr %words)
call void @subtract(ptr %group.packs, ptr %indices, ptr %group.centroids)
"""
    records = CODEWORDS * 4 * (_PART_PACKS + _RECORD_EXTRA)
    codes = f"""%part.word = udiv i64 %part, {_WORD_PARTS}
%part.bits = mul i64 %part, {SUBCODE_BITS}
%part.narrow = trunc i64 %part.bits to i32
%part.shift = and i32 %part.narrow, 31
"""
    codes += row("part.packs", "packs", "part", _PART_PACKS * _PACK_BYTES)
    codes += row("part.records", "codeword_records", "part", records)
    codes += row("part.words", "code.words", "part.word", 4 * BLOCK)
    codes += f"""call void @nearest{_PART_PACKS}(ptr %part.packs, ptr %part.records,
  i64 {CODEWORDS}, ptr %indices, i32 %part.shift, ptr %part.words)
"""
    return loop("group", 0, GROUPS, 1, cells) + loop("part", 0, SUBCODES, 1, codes)


def _code() -> str:
    """IR of @code: block after block; the last overlaps the one before so that it is whole."""
    block = "%begin = call i64 @llvm.smin.i64(i64 %block, i64 %last)\n"
    block += row("from", "digits", "begin", 1)
    block += row("cells.to", "cells", "begin", 4) + row("codes.to", "codes", "begin", 8)
    block += _spell() + "call void @project(ptr %job, ptr %streams, ptr %packs)\n"
    block += f"store [{_WORDS * BLOCK} x i32] zeroinitializer, ptr %words\n"
    block += _quantise()
    block += """call void @cells_out(ptr %words, ptr %cells.to)
call void @codes_out(ptr %code.words, ptr %codes.to)
"""
    text = JOB.read(*JOB.fields) + f"%last = sub i64 %n_windows, {BLOCK}\n"
    text += f"%code.words = getelementptr i8, ptr %words, i64 {4 * BLOCK}\n"
    text += "".join(_read(f"table{f}", "features", f * _VECTOR, _BYTES) for f in range(2))
    text += loop("block", 0, "%n_windows", BLOCK, block)
    return f"""define void @code(ptr %job) {{
%streams = alloca [{2 * _STREAM} x i8], align {_VECTOR}
%packs = alloca [{_PACKS * _PACK_BYTES} x i8], align {_VECTOR}
%indices = alloca [{BLOCK} x i32], align {_VECTOR}
%words = alloca [{_WORDS * BLOCK} x i32], align {_VECTOR}
{text}ret void
}}
"""
