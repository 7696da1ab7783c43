"""LLVM IR of simulated answers: draws windows, adds up their distances, predicts them by a coder.

One routine does what draw_windows, Projection.project, Coder.quantise and Coder.predictions do one
after the other, for TILE draws at a time, so that nothing between them leaves the nearest cache.
Vectors are 16 numbers of 32 bits, which LLVM splits for processors that have smaller ones.

**Digits.** Lanes are pixels. A digit is how many of nine bounds a uniform exceeds; it is kept as
the *row* 10 · pixel + digit, in which every table has what that digit adds.

**Directions.** Lanes are directions: the rows of the 84 pixels are added up, three vectors each.
One float32 product, clipped, rounded to the nearest even.

**Nearest.** Lanes are 16 centres. The *score* of a centre is ⟨x, c⟩ - ⌈|c|²/2⌉: it starts with the
second term, then adds dimension by dimension. All of it is integers below 2²⁴, which float32 adds
exactly, in one rounding or two. The best is the largest *key*, score · 256 + (255 - index), so that
the smaller index wins where scores are equal. Example: score 7 of centres 2 and 5 are the keys 2045
and 2042. Each vector of centroids is loaded once for all draws of a tile, whose scores stay in
registers.

At 8 bits a draw takes 0.27 µs with vectors of 64 bytes, 0.45 of 32, 1.1 of 16; half of it are the
2 · 24 · 16 products for the cells.
"""

from indexer.cells import (
    GROUP_DIRECTIONS,
    GROUPS,
    LARGEST_BITS,
    SUBCODE_BITS,
    SUBCODE_DIRECTIONS,
    SUBCODES,
)
from indexer.ir import JobFields, load, loop, row, store
from indexer.projection import DIRECTIONS, LARGEST
from indexer.window import SHADES, WINDOW

LANES = 16
# Draws that share the loads of centroids.
TILE = 8
# Pixels of a row of uniforms or bounds: whole vectors.
PIXELS = -(-WINDOW // LANES) * LANES
BOUNDS = SHADES - 1
# A score below that of any centre: |⟨x, c⟩| is at most 24 · 2¹⁴, half of |c|² at most 12 · 2¹⁴.
# Times 256 it is still an int32.
NO_SCORE = -(1 << 22)

_INTS, _REALS = f"<{LANES} x i32>", f"<{LANES} x float>"
_VECTOR = 4 * LANES  # bytes
_PART = 8  # dimensions of a residual that are subtracted at once
_RANKS = (1 << LARGEST_BITS) - 1

_NUMBERS = (
    "n_draws",  # a multiple of TILE
    "n_centroids",
    "n_vectors",  # of centroids of a group
    "bits",
)
_ARRAYS = (
    "uniforms",  # float32[n_draws, PIXELS]
    "bounds",  # float32[BOUNDS, PIXELS]: the digit exceeds b where the uniform exceeds bound b
    "costs",  # int32[84, 10]
    "sums",  # int32[84, 10, 48]: what a digit adds to each direction
    "factors",  # float32[48]
    "columns",  # float32[2, n_vectors, 1 + 24, 16]: what the scores start with, and each dimension
    "centroids",  # float32[2, n_centroids, 24]
    "words",  # float32[12, 1 + 4, 16]: as columns, of codewords
    "of_cells",  # float32[2, n_centroids]
    "of_codes",  # float32[12, 16]
    "distances",  # out: int64[n_draws]
    "by_cell",  # out: float64[n_draws]
    "by_both",  # out: float64[n_draws]
    "cells",  # out: uint32[n_draws]
    "codes",  # out: uint64[n_draws]
)
SIMULATE_JOB = JobFields(_NUMBERS + _ARRAYS, _ARRAYS)

_DECLARATIONS = f"""
declare {_REALS} @llvm.fmuladd.v{LANES}f32({_REALS}, {_REALS}, {_REALS})
declare {_REALS} @llvm.roundeven.v{LANES}f32({_REALS})
declare {_INTS} @llvm.smax.v{LANES}i32({_INTS}, {_INTS})
declare i32 @llvm.vector.reduce.smax.v{LANES}i32({_INTS})
"""


def simulate_assembly() -> str:
    """The routine @simulate as LLVM IR; it serves every coder, whatever its bits."""
    draw = f"%draw = add i64 %tile, %j\n{row('x.draw', 'x', 'j', 4 * DIRECTIONS)}"
    group = _group_rows() + _nearest() + loop("winner", 0, TILE, 1, _settle())
    tile = loop("j", 0, TILE, 1, draw + _draw_rows() + _add_rows() + _round())
    tile += f"store [{TILE} x i32] zeroinitializer, ptr %tile.cells\n"
    tile += f"store [{TILE} x double] zeroinitializer, ptr %tile.sums\n"
    tile += loop("group", 0, GROUPS, 1, group)
    tile += loop("coded", 0, TILE, 1, _code())
    scratch = {
        "rows": f"[{PIXELS} x i32]",
        "x": f"[{TILE * DIRECTIONS} x float]",
        "keys": f"[{TILE * LANES} x i32]",
        "tile.cells": f"[{TILE} x i32]",
        "tile.sums": f"[{TILE} x double]",
        "distance": "i64",
        "code": "i64",
        "code.sum": "float",
        **{f"sum{v}": _INTS for v in range(DIRECTIONS // LANES)},
        **{f"score{t}": _REALS for t in range(TILE)},
        **{f"best{t}": _INTS for t in range(TILE)},
    }
    return (
        _DECLARATIONS
        + "define void @simulate(ptr %job) {\n"
        + "".join(f"%{name} = alloca {kind}, align 64\n" for name, kind in scratch.items())
        + SIMULATE_JOB.read(*SIMULATE_JOB.fields)
        + loop("tile", 0, "%n_draws", TILE, tile)
        + "ret void\n}\n"
    )


def _read(name: str, base: str, offset: int, kind: str, align: int = 4) -> str:
    return load(name, base, offset, kind, align)


def _write(name: str, base: str, offset: int, kind: str, align: int = 4) -> str:
    return store(name, base, offset, kind, align)


def _all_lanes(name: str, number: str, kind: str) -> str:
    """IR of a number in all lanes of %name."""
    vector = f"<{LANES} x {kind}>"
    return f"""%{name}.first = insertelement {vector} poison, {kind} {number}, i64 0
%{name} = shufflevector {vector} %{name}.first, {vector} poison, <{LANES} x i32> zeroinitializer
"""


def _steps(step: int) -> str:
    """A constant vector of the multiples of a number, from 0."""
    return f"<{', '.join(f'i32 {step * lane}' for lane in range(LANES))}>"


def _clip(name: str, value: str, lowest: int, highest: int, lanes: int) -> str:
    """IR of %name, a vector of floats brought between two numbers."""
    kind, low, high = f"<{lanes} x float>", f"float {lowest}.0", f"float {highest}.0"
    return f"""%{name}.under = fcmp olt {kind} {value}, splat ({low})
%{name}.low = select <{lanes} x i1> %{name}.under, {kind} splat ({low}), {kind} {value}
%{name}.over = fcmp ogt {kind} %{name}.low, splat ({high})
%{name} = select <{lanes} x i1> %{name}.over, {kind} splat ({high}), {kind} %{name}.low
"""


def _draw_rows() -> str:
    """IR that draws the digits of draw %draw, kept as rows: 10 · pixel + digit."""
    body = row("u.pixels", "u.draw", "pixel", 4) + _read("u", "u.pixels", 0, _REALS)
    body += row("bounds.pixels", "bounds", "pixel", 4)
    body += f"%tens = mul i64 %pixel, {SHADES}\n%first = trunc i64 %tens to i32\n"
    body += _all_lanes("firsts", "%first", "i32")
    body += f"%row0 = add {_INTS} %firsts, {_steps(SHADES)}\n"
    for b in range(BOUNDS):
        body += _read(f"bound{b}", "bounds.pixels", 4 * b * PIXELS, _REALS)
        body += f"""%exceeds{b} = fcmp ogt {_REALS} %u, %bound{b}
%one{b} = zext <{LANES} x i1> %exceeds{b} to {_INTS}
%row{b + 1} = add {_INTS} %row{b}, %one{b}
"""
    body += row("rows.pixels", "rows", "pixel", 4)
    body += _write(f"row{BOUNDS}", "rows.pixels", 0, _INTS)
    return row("u.draw", "uniforms", "draw", 4 * PIXELS) + loop("pixel", 0, PIXELS, LANES, body)


def _add_rows() -> str:
    """IR that adds up the costs and directions of a draw's rows, and stores the distance."""
    vectors = range(DIRECTIONS // LANES)
    text = "store i64 0, ptr %distance\n"
    text += "".join(f"store {_INTS} zeroinitializer, ptr %sum{v}\n" for v in vectors)
    body = row("row.at", "rows", "i", 4) + "%row = load i32, ptr %row.at\n"
    body += "%row.wide = zext i32 %row to i64\n"
    body += row("cost.at", "costs", "row.wide", 4)
    body += """%cost = load i32, ptr %cost.at
%cost.wide = sext i32 %cost to i64
%distance.old = load i64, ptr %distance
%distance.new = add i64 %distance.old, %cost.wide
store i64 %distance.new, ptr %distance
"""
    body += row("adds", "sums", "row.wide", 4 * DIRECTIONS)
    for v in vectors:
        body += _read(f"add{v}", "adds", v * _VECTOR, _INTS)
        body += f"""%sum{v}.old = load {_INTS}, ptr %sum{v}
%sum{v}.new = add {_INTS} %sum{v}.old, %add{v}
store {_INTS} %sum{v}.new, ptr %sum{v}
"""
    text += loop("i", 0, WINDOW, 1, body) + "%total = load i64, ptr %distance\n"
    return (
        text + row("distance.out", "distances", "draw", 8) + "store i64 %total, ptr %distance.out\n"
    )


def _round() -> str:
    """IR that takes a draw's sums to its directions, as floats."""
    text = ""
    for v in range(DIRECTIONS // LANES):
        text += _read(f"factor{v}", "factors", v * _VECTOR, _REALS)
        text += f"""%total{v} = load {_INTS}, ptr %sum{v}
%real{v} = sitofp {_INTS} %total{v} to {_REALS}
%scaled{v} = fmul {_REALS} %real{v}, %factor{v}
"""
        text += _clip(f"clipped{v}", f"%scaled{v}", -LARGEST, LARGEST, LANES)
        text += f"""%x{v} = call {_REALS} @llvm.roundeven.v{LANES}f32({_REALS} %clipped{v})
"""
        text += _write(f"x{v}", "x.draw", v * _VECTOR, _REALS)
    return text


def _group_rows() -> str:
    """IR of where a group's directions, centroids and parts of the prediction are."""
    text = row("x.group", "x", "group", 4 * GROUP_DIRECTIONS)
    text += "%vectors.before = mul i64 %group, %n_vectors\n"
    text += "%centroids.before = mul i64 %group, %n_centroids\n"
    text += row("columns.group", "columns", "vectors.before", (1 + GROUP_DIRECTIONS) * _VECTOR)
    text += row("centroids.group", "centroids", "centroids.before", 4 * GROUP_DIRECTIONS)
    text += row("of.group", "of_cells", "centroids.before", 4)
    return text + "%shift.wide = mul i64 %group, %bits\n%shift = trunc i64 %shift.wide to i32\n"


def _nearest() -> str:
    """IR of %keys: for each draw of a tile, the best key in each lane of a group's centroids."""
    add = row("column", "column.first", "dim", _VECTOR) + _read("c", "column", _VECTOR, _REALS)
    add += row("x.dim", "x.group", "dim", 4)
    body = row("column.first", "columns.group", "v", (1 + GROUP_DIRECTIONS) * _VECTOR)
    body += _read("start", "column.first", 0, _REALS)
    before = after = keys = ""
    for t in range(TILE):
        before += f"store {_INTS} splat (i32 {-(1 << 31)}), ptr %best{t}\n"
        body += f"store {_REALS} %start, ptr %score{t}\n"
        add += _read(f"d{t}", "x.dim", 4 * t * DIRECTIONS, "float") + _all_lanes(
            f"all{t}", f"%d{t}", "float"
        )
        add += f"""%score{t}.old = load {_REALS}, ptr %score{t}
%score{t}.new = call {_REALS} @llvm.fmuladd.v{LANES}f32({_REALS} %all{t}, {_REALS} %c,
  {_REALS} %score{t}.old)
store {_REALS} %score{t}.new, ptr %score{t}
"""
        keys += f"%score{t}.end = load {_REALS}, ptr %score{t}\n"
        keys += _key(f"key{t}", f"%score{t}.end", "%ranks")
        keys += f"""%best{t}.old = load {_INTS}, ptr %best{t}
%best{t}.new = call {_INTS} @llvm.smax.v{LANES}i32({_INTS} %best{t}.old, {_INTS} %key{t})
store {_INTS} %best{t}.new, ptr %best{t}
"""
        after += f"%best{t}.end = load {_INTS}, ptr %best{t}\n"
        after += _write(f"best{t}.end", "keys", t * _VECTOR, _INTS)
    body += loop("dim", 0, GROUP_DIRECTIONS, 1, add)
    body += f"%v.lanes = mul i64 %v, {LANES}\n%v.first = trunc i64 %v.lanes to i32\n"
    body += _all_lanes("v.firsts", "%v.first", "i32")
    body += f"%index = add {_INTS} %v.firsts, {_steps(1)}\n"
    body += f"%ranks = xor {_INTS} %index, splat (i32 {_RANKS})\n"
    return before + loop("v", 0, "%n_vectors", 1, body + keys) + after


def _key(name: str, score: str, ranks: str) -> str:
    """IR of keys %name of 16 scores and of 255 - index."""
    return f"""%{name}.whole = fptosi {_REALS} {score} to {_INTS}
%{name}.shifted = shl {_INTS} %{name}.whole, splat (i32 {LARGEST_BITS})
%{name} = or {_INTS} %{name}.shifted, {ranks}
"""


def _winner(name: str, keys: str) -> str:
    """IR of %name, the index (i64) in the largest of 16 keys, and of %name.narrow (i32)."""
    return f"""%{name}.key = call i32 @llvm.vector.reduce.smax.v{LANES}i32({_INTS} {keys})
%{name}.flipped = xor i32 %{name}.key, -1
%{name}.narrow = and i32 %{name}.flipped, {_RANKS}
%{name} = zext i32 %{name}.narrow to i64
"""


def _settle() -> str:
    """IR that takes draw %winner's centroid: its bits, its prediction, and the residual in x."""
    text = row("w.keys", "keys", "winner", _VECTOR) + _read("w.all", "w.keys", 0, _INTS)
    text += _winner("nearest", "%w.all")
    text += row("w.cell", "tile.cells", "winner", 4) + row("w.sum", "tile.sums", "winner", 8)
    text += row("w.of", "of.group", "nearest", 4)
    text += """%cell.old = load i32, ptr %w.cell
%cell.bits = shl i32 %nearest.narrow, %shift
%cell.new = or i32 %cell.old, %cell.bits
store i32 %cell.new, ptr %w.cell
%part = load float, ptr %w.of
%part.wide = fpext float %part to double
%part.old = load double, ptr %w.sum
%part.new = fadd double %part.old, %part.wide
store double %part.new, ptr %w.sum
"""
    text += row("w.x", "x.group", "winner", 4 * DIRECTIONS)
    text += row("w.centroid", "centroids.group", "nearest", 4 * GROUP_DIRECTIONS)
    kind = f"<{_PART} x float>"
    for d in range(0, GROUP_DIRECTIONS, _PART):
        text += _read(f"w.x{d}", "w.x", 4 * d, kind) + _read(f"w.c{d}", "w.centroid", 4 * d, kind)
        text += f"%left{d} = fsub {kind} %w.x{d}, %w.c{d}\n"
        text += _clip(f"residual{d}", f"%left{d}", -128, 127, _PART)
        text += _write(f"residual{d}", "w.x", 4 * d, kind)
    return text


def _code() -> str:
    """IR that codes the residual of draw %coded, and stores all that is said of it.

    The twelve parts are added in float32, in order, as Coder.predictions does: the same bits.
    """
    body = row("s.x", "c.x", "s", 4 * SUBCODE_DIRECTIONS)
    body += row("s.words", "words", "s", (1 + SUBCODE_DIRECTIONS) * _VECTOR)
    body += _read("s0", "s.words", 0, _REALS)
    for d in range(SUBCODE_DIRECTIONS):
        body += _read(f"s.d{d}", "s.x", 4 * d, "float")
        body += _all_lanes(f"s.all{d}", f"%s.d{d}", "float")
        body += _read(f"s.w{d}", "s.words", (1 + d) * _VECTOR, _REALS)
        body += f"""%s{d + 1} = call {_REALS} @llvm.fmuladd.v{LANES}f32({_REALS} %s.all{d},
  {_REALS} %s.w{d}, {_REALS} %s{d})
"""
    ranks = f"<{', '.join(f'i32 {_RANKS - lane}' for lane in range(LANES))}>"
    body += _key("s.keys", f"%s{SUBCODE_DIRECTIONS}", ranks) + _winner("word", "%s.keys")
    body += row("s.of", "of_codes", "s", 4 * LANES) + row("word.of", "s.of", "word", 4)
    body += f"""%code.old = load i64, ptr %code
%word.shift = mul i64 %s, {SUBCODE_BITS}
%word.bits = shl i64 %word, %word.shift
%code.new = or i64 %code.old, %word.bits
store i64 %code.new, ptr %code
%code.part = load float, ptr %word.of
%code.sum.old = load float, ptr %code.sum
%code.sum.new = fadd float %code.sum.old, %code.part
store float %code.sum.new, ptr %code.sum
"""
    text = row("c.x", "x", "coded", 4 * DIRECTIONS)
    text += "store i64 0, ptr %code\nstore float 0.0, ptr %code.sum\n"
    text += loop("s", 0, SUBCODES, 1, body) + "%c.draw = add i64 %tile, %coded\n"
    text += row("c.cell.at", "tile.cells", "coded", 4) + row("c.sum.at", "tile.sums", "coded", 8)
    text += """%c.cells = load i32, ptr %c.cell.at
%c.by_cell = load double, ptr %c.sum.at
%c.codes = load i64, ptr %code
%c.of_codes = load float, ptr %code.sum
%c.of_codes.wide = fpext float %c.of_codes to double
%c.by_both = fadd double %c.by_cell, %c.of_codes.wide
"""
    for out, kind, size in (
        ("cells", "i32", 4),
        ("codes", "i64", 8),
        ("by_cell", "double", 8),
        ("by_both", "double", 8),
    ):
        text += row(f"{out}.out", out, "c.draw", size)
        text += f"store {kind} %c.{out}, ptr %{out}.out\n"
    return text
