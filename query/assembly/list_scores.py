"""LLVM IR that scores the windows whose codes pass, and stores those within the limit."""

from indexer.ir import loop, when
from indexer.window import WINDOW
from query.assembly.layout import InstructionSet
from query.assembly.list_layout import (
    BATCH,
    SEARCH,
    SMALL,
    VNNI,
    add,
    addresses,
    each_bit,
    prefetch,
)

# Distances of BATCH starts go to `out`; the result has a bit set for each within the limit.
_SIGNATURE = (
    "define internal i64 @score(ptr %digits, ptr %costs, ptr %starts, i64 %limit, ptr %out) "
    f"{SMALL} {{\n"
)
_PERMUTE = "call <16 x i32> @llvm.x86.avx512.permvar.si.512"


def _score_plain() -> str:
    """IR of @score, look-up by look-up."""
    look_up = "".join(
        f"""%pixel{k} = add i64 %i, {k}
%ascii{k}.at = getelementptr i8, ptr %window, i64 %pixel{k}
%ascii{k} = load i8, ptr %ascii{k}.at
%digit{k}.8 = and i8 %ascii{k}, 15
%digit{k} = zext i8 %digit{k}.8 to i64
%row{k} = shl i64 %pixel{k}, 4
%cell{k} = add i64 %row{k}, %digit{k}
%cost{k}.at = getelementptr i32, ptr %costs, i64 %cell{k}
%cost{k} = load i32, ptr %cost{k}.at
%old{k} = load i32, ptr %sum.at
%new{k} = add i32 %old{k}, %cost{k}
store i32 %new{k}, ptr %sum.at
"""
        for k in range(4)
    )
    return (
        _SIGNATURE
        + "%sum.at = alloca i32\n%mask.at = alloca i64\nstore i64 0, ptr %mask.at\n"
        + loop(
            "w",
            0,
            BATCH,
            1,
            """%start.at = getelementptr i64, ptr %starts, i64 %w
%start = load i64, ptr %start.at
%window = getelementptr i8, ptr %digits, i64 %start
store i32 0, ptr %sum.at
"""
            + loop("i", 0, WINDOW, 4, look_up)
            + """%sum = load i32, ptr %sum.at
%out.at = getelementptr i32, ptr %out, i64 %w
store i32 %sum, ptr %out.at
%distance = sext i32 %sum to i64
%within = icmp sle i64 %distance, %limit
%within.64 = zext i1 %within to i64
%bit = shl i64 %within.64, %w
%mask.old = load i64, ptr %mask.at
%mask.new = or i64 %mask.old, %bit
store i64 %mask.new, ptr %mask.at""",
        )
        + "%mask = load i64, ptr %mask.at\nret i64 %mask\n}\n"
    )


def _pick(name: str, lanes: int, a: str, b: str, picks: range | list[int]) -> str:
    """IR of a vector of the picked int32 of %a followed by %b."""
    mask = ", ".join(f"i32 {pick}" for pick in picks)
    vector = f"<{lanes} x i32>"
    return f"%{name} = shufflevector {vector} %{a}, {vector} %{b}, <{len(picks)} x i32> <{mask}>\n"


def _transpose() -> str:
    """IR of 16 digits from %chunk on of 16 windows, at %quads: quad q is digits 4q to 4q + 3.

    Vector c starts as the digits of windows c, c + 4, c + 8 and c + 12, one in each 16-byte part.
    Every part is transposed, 4 x 4 quads at once. A lane is then a window, in order.
    """
    text = ""
    for c in range(4):
        for part in range(4):
            name = f"w{c}.{part}"
            text += f"""%{name}.start.at = getelementptr i64, ptr %starts, i64 {c + 4 * part}
%{name}.start = load i64, ptr %{name}.start.at
%{name}.place = add i64 %{name}.start, %chunk
%{name}.at = getelementptr i8, ptr %digits, i64 %{name}.place
%{name} = load <4 x i32>, ptr %{name}.at, align 1
"""
        text += _pick(f"w{c}.front", 4, f"w{c}.0", f"w{c}.1", range(8))
        text += _pick(f"w{c}.back", 4, f"w{c}.2", f"w{c}.3", range(8))
        text += _pick(f"w{c}", 8, f"w{c}.front", f"w{c}.back", range(16))
    parts = range(0, 16, 4)
    low = [part + k for part in parts for k in (0, 16, 1, 17)]
    high = [part + k for part in parts for k in (2, 18, 3, 19)]
    even = [part + k for part in parts for k in (0, 1, 16, 17)]
    odd = [part + k for part in parts for k in (2, 3, 18, 19)]
    for a, b in ((0, 1), (2, 3)):
        text += _pick(f"low{a}", 16, f"w{a}", f"w{b}", low)
        text += _pick(f"high{a}", 16, f"w{a}", f"w{b}", high)
    for quad, (half, picks) in enumerate(
        (("low", even), ("low", odd), ("high", even), ("high", odd))
    ):
        text += _pick(f"quad{quad}", 16, f"{half}0", f"{half}2", picks)
        text += f"""%quad{quad}.at = getelementptr <16 x i32>, ptr %quads, i64 {quad}
store <16 x i32> %quad{quad}, ptr %quad{quad}.at
"""
    return text


def _score_vectors() -> str:
    """IR of @score for 16 windows at once: 16 digits at a time, the last 4 with the 12 before.

    A permutation of the 16 costs of a pixel looks at the low 4 bits of each lane: a digit.
    5 ns a window whose digits are in the cache, where look-ups one by one take 24.
    """
    whole = WINDOW // 16 * 16
    last = WINDOW - 16
    look_up = """%quad.at = getelementptr <16 x i32>, ptr %quads, i64 %q
%quad = load <16 x i32>, ptr %quad.at
%q.pixel = shl i64 %q, 2
%pixel = add i64 %chunk, %q.pixel
%row = shl i64 %pixel, 6
%rows = getelementptr i8, ptr %costs, i64 %row
"""
    for k in range(4):
        look_up += f"""%digit{k} = lshr <16 x i32> %quad, splat (i32 {8 * k})
%row{k}.at = getelementptr i8, ptr %rows, i64 {64 * k}
%row{k} = load <16 x i32>, ptr %row{k}.at, align 4
%cost{k} = {_PERMUTE}(<16 x i32> %row{k}, <16 x i32> %digit{k})
%old{k} = load <16 x i32>, ptr %sum{k}
%new{k} = add <16 x i32> %old{k}, %cost{k}
store <16 x i32> %new{k}, ptr %sum{k}
"""
    chunk = (
        f"""%chunk = call i64 @llvm.umin.i64(i64 %from, i64 {last})
%tail = icmp eq i64 %from, {whole}
%first = select i1 %tail, i64 {(whole - last) // 4}, i64 0
"""
        + _transpose()
        + loop("q", "%first", 4, 1, look_up)
    )
    sums = "".join(
        f"%sum{k} = alloca <16 x i32>\nstore <16 x i32> zeroinitializer, ptr %sum{k}\n"
        for k in range(4)
    )
    return (
        _SIGNATURE
        + "%quads = alloca [4 x <16 x i32>]\n"
        + sums
        + loop("from", 0, WINDOW, 16, chunk)
        + "".join(f"%part{k} = load <16 x i32>, ptr %sum{k}\n" for k in range(4))
        + """%left = add <16 x i32> %part0, %part1
%right = add <16 x i32> %part2, %part3
%distances = add <16 x i32> %left, %right
store <16 x i32> %distances, ptr %out, align 4
%limit.1 = insertelement <16 x i64> poison, i64 %limit, i64 0
%limits = shufflevector <16 x i64> %limit.1, <16 x i64> poison, <16 x i32> zeroinitializer
%distances.64 = sext <16 x i32> %distances to <16 x i64>
%within = icmp sle <16 x i64> %distances.64, %limits
%within.16 = bitcast <16 x i1> %within to i16
%mask = zext i16 %within.16 to i64
ret i64 %mask
}
"""
    )


def _store() -> str:
    """IR that stores window %lane of a batch; returns where found is full."""
    stop = "store i64 %batch, ptr %batch.at\nstore i64 1, ptr %full.at\nret void"
    return (
        """%row = load i64, ptr %count.at
%over = icmp uge i64 %row, %capacity
"""
        + when("stop", "%over", stop)
        + """%row.word = shl i64 %row, 1
%row.at = getelementptr i64, ptr %found, i64 %row.word
%lane.at = getelementptr i64, ptr %first, i64 %lane
%lane.start = load i64, ptr %lane.at
store i64 %lane.start, ptr %row.at
%distance.from = getelementptr i32, ptr %distances, i64 %lane
%distance.32 = load i32, ptr %distance.from
%distance = sext i32 %distance.32 to i64
%distance.at = getelementptr i64, ptr %row.at, i64 1
store i64 %distance, ptr %distance.at
%row.next = add i64 %row, 1
store i64 %row.next, ptr %count.at
%lane.bit = shl i64 1, %lane
%emitted.old = load i64, ptr %emitted.at
%emitted.new = or i64 %emitted.old, %lane.bit
store i64 %emitted.new, ptr %emitted.at
"""
    )


def _score_ready() -> str:
    """IR that scores a batch of windows that are ready, less those stored before it was stopped."""
    return (
        f"""%left = sub i64 %n_ready, %batch
%windows = call i64 @llvm.umin.i64(i64 %left, i64 {BATCH})
%first = getelementptr i64, ptr %ready, i64 %batch
%within = call i64 @score(ptr %digits, ptr %costs, ptr %first, i64 %limit, ptr %distances)
%beyond = shl i64 -1, %windows
%real = xor i64 %beyond, -1
%hits = and i64 %within, %real
%emitted.now = load i64, ptr %emitted.at
%fresh = xor i64 %emitted.now, -1
%mask = and i64 %hits, %fresh
"""
        + each_bit("lane", "%mask", _store())
        + "store i64 0, ptr %emitted.at\n"
        + add("n_scored", "%windows", "scored")
    )


def _admit() -> str:
    """IR that reads a batch of ids that wait, and asks for the digits: 84 bytes in 2 or 3 lines.

    An id that is no window has its place taken by the next one.
    """
    body = (
        """%id.at.at = getelementptr ptr, ptr %waiting, i64 %i
%id.at = load ptr, ptr %id.at.at
%id = load i64, ptr %id.at, align 1
%good = icmp ult i64 %id, %n_windows
%bad = icmp uge i64 %id, %n_stored
%one.good = zext i1 %good to i64
%one.bad = zext i1 %bad to i64
%place = load i64, ptr %kept.at
%start.at = getelementptr i64, ptr %ready, i64 %place
store i64 %id, ptr %start.at
%window = getelementptr i8, ptr %digits, i64 %id
"""
        + prefetch("head", "%window", 0)
        + prefetch("middle", "%window", 64)
        + prefetch("tail", "%window", WINDOW - 1)
        + add("kept", "%one.good", "keep")
        + add("n_bad", "%one.bad", "damage")
    )
    return f"""%batch.most = add i64 %batch, {BATCH}
%batch.end = call i64 @llvm.umin.i64(i64 %batch.most, i64 %n_waiting)
""" + loop("i", "%batch", "%batch.end", 1, body)


def flush(isa: InstructionSet) -> str:
    """IR of @flush: scores what is ready, and makes ready what waits, a batch of each in turn.

    So the digits of a window are asked for a whole round before they are read. What becomes ready
    takes the places of what is scored: `kept` never passes `batch`. Behind the last start there are
    zeros, which the last batch scores along, for nothing but a whole batch.

    Where found is full it returns at once, and does the rest when it is called again.
    """
    batch = (
        "%some.ready = icmp ult i64 %batch, %n_ready\n"
        + when("score", "%some.ready", _score_ready())
        + "%some.waiting = icmp ult i64 %batch, %n_waiting\n"
        + when("admit", "%some.waiting", _admit())
    )
    return (
        (_score_vectors() if isa is VNNI else _score_plain())
        + f"define internal void @flush(ptr %job) noinline {SMALL} {{\n"
        + SEARCH.read("digits", "costs", "limit", "waiting", "n_waiting", "ready", "n_ready")
        + SEARCH.read("n_windows", "n_stored", "found", "capacity")
        + addresses(SEARCH, "batch", "kept", "emitted", "count", "full", "n_scored", "n_bad")
        + f"""%distances = alloca [{BATCH} x i32]
%begin = load i64, ptr %batch.at
%most = call i64 @llvm.umax.i64(i64 %n_waiting, i64 %n_ready)
"""
        + loop("batch", "%begin", "%most", BATCH, batch)
        + f"""%kept = load i64, ptr %kept.at
%behind = getelementptr i64, ptr %ready, i64 %kept
call void @llvm.memset.p0.i64(ptr %behind, i8 0, i64 {8 * BATCH}, i1 0)
store i64 %kept, ptr %n_ready.at
store i64 0, ptr %n_waiting.at
store i64 0, ptr %kept.at
store i64 0, ptr %batch.at
store i64 0, ptr %full.at
ret void
}}
"""
    )
