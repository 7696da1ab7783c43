"""LLVM IR that adds bounds up, and scores what they leave."""

from indexer.ir import loop, when
from indexer.window import WINDOW
from query.assembly.layout import JOB, STRETCH, InstructionSet

# Appends (start, distance) to found, and 1 to count, where the exact distance is within the limit.
SCORE = (
    "define internal void @score(ptr %job, i64 %start) {\n"
    + JOB.read("digits", "costs", "limit", "found", "count")
    + "\n%sum.at = alloca i32\nstore i32 0, ptr %sum.at\n"
    + "%window = getelementptr i8, ptr %digits, i64 %start\n"
    + loop(
        "i",
        0,
        WINDOW,
        1,
        """%ascii.at = getelementptr i8, ptr %window, i64 %i
%ascii = load i8, ptr %ascii.at
%digit.8 = and i8 %ascii, 15
%digit = zext i8 %digit.8 to i64
%row = shl i64 %i, 4
%cell = add i64 %row, %digit
%cost.at = getelementptr i32, ptr %costs, i64 %cell
%cost = load i32, ptr %cost.at
%sum.old = load i32, ptr %sum.at
%sum.new = add i32 %sum.old, %cost
store i32 %sum.new, ptr %sum.at""",
    )
    + """%sum = load i32, ptr %sum.at
%distance = sext i32 %sum to i64
%within = icmp sle i64 %distance, %limit
"""
    + when(
        "keep",
        "%within",
        """%start.row = shl i64 %count, 1
%start.at = getelementptr i64, ptr %found, i64 %start.row
store i64 %start, ptr %start.at
%distance.at = getelementptr i64, ptr %start.at, i64 1
store i64 %distance, ptr %distance.at
%count.new = add i64 %count, 1
store i64 %count.new, ptr %count.at""",
    )
    + "ret void\n}\n"
)

# Every start in [position, end), one after the other; returns early where found is full.
PLAIN_LOOP = (
    "define internal void @plain(ptr %job) {\n"
    + JOB.read("position", "end", "capacity")
    + "\n"
    + loop(
        "start",
        "%position",
        "%end",
        1,
        JOB.read("count")
        + "\n%full = icmp sge i64 %count, %capacity\n"
        + when("stop", "%full", "store i64 %start, ptr %position.at\nret void")
        + "call void @score(ptr %job, i64 %start)",
    )
    + "store i64 %end, ptr %position.at\nret void\n}\n"
)


def _group(name: str, isa: InstructionSet, ring: int) -> str:
    """IR of group %name: %name.table, and %name.keys, its keys at the row `here` of the planes."""
    vector, lanes = f"<{isa.lanes} x i8>", isa.lanes
    return f"""%{name}.twice = shl i64 %{name}, 1
%{name}.plane.at = getelementptr i64, ptr %groups, i64 %{name}.twice
%{name}.plane = load i64, ptr %{name}.plane.at
%{name}.along.at = getelementptr i64, ptr %{name}.plane.at, i64 1
%{name}.along = load i64, ptr %{name}.along.at
%{name}.far = add i64 %here, %{name}.along
%{name}.past = sub i64 %{name}.far, {ring * lanes}
%{name}.row = call i64 @llvm.umin.i64(i64 %{name}.far, i64 %{name}.past)
%{name}.byte = add i64 %{name}.plane, %{name}.row
%{name}.keys = getelementptr i8, ptr %planes, i64 %{name}.byte
%{name}.tables = mul i64 %{name}, {lanes}
%{name}.table.at = getelementptr i8, ptr %tables, i64 %{name}.tables
%{name}.table = load {vector}, ptr %{name}.table.at, align {lanes}
"""


def _add_bound(name: str, u: str, isa: InstructionSet) -> str:
    """IR that adds the bounds of group %name to %sum{u}, of the vector %name.at{u} of its keys."""
    vector, lanes = f"<{isa.lanes} x i8>", isa.lanes
    add = f"@llvm.uadd.sat.v{lanes}i8"
    return f"""%{name}.key{u} = load {vector}, ptr %{name}.at{u}, align {lanes}
%{name}.bound{u} = call {vector} @{isa.lookup}({vector} %{name}.table, {vector} %{name}.key{u})
%{name}.old{u} = load {vector}, ptr %sum{u}
%{name}.new{u} = call {vector} {add}({vector} %{name}.old{u}, {vector} %{name}.bound{u})
store {vector} %{name}.new{u}, ptr %sum{u}
"""


def _mask(name: str, sums: str, isa: InstructionSet) -> str:
    """IR of %name (i64): a bit for each lane of %sums that is within the threshold."""
    lanes = isa.lanes
    widen = f"add i64 %{name}.bits, 0" if lanes == 64 else f"zext i{lanes} %{name}.bits to i64"
    return f"""%{name}.in = icmp ule <{lanes} x i8> {sums}, %within
%{name}.bits = bitcast <{lanes} x i1> %{name}.in to i{lanes}
%{name} = {widen}
"""


def _within(isa: InstructionSet) -> str:
    """IR of %within: the threshold in every lane."""
    vector = f"<{isa.lanes} x i8>"
    return f"""%threshold.8 = trunc i64 %threshold to i8
%threshold.1 = insertelement {vector} poison, i8 %threshold.8, i64 0
%within = shufflevector {vector} %threshold.1, {vector} poison, <{isa.lanes} x i32> zeroinitializer
"""


def finish(isa: InstructionSet, ring: int) -> str:
    """IR of @finish: the groups after the first test of one vector, and scores of what they leave.

    `here` is the byte of the vector's row in a plane, `first` the start of its lane 0, `sum` where
    the sums of its lanes are.
    """
    vector, lanes = f"<{isa.lanes} x i8>", isa.lanes
    add = _group("k", isa, ring) + "%k.at = getelementptr i8, ptr %k.keys, i64 0\n"
    add += _add_bound("k", "", isa)
    return (
        "define internal void @finish(ptr %job, i64 %here, i64 %first, i64 %position, ptr %sum) "
        "noinline {\n%left.at = alloca i64\n"
        + JOB.read("planes", "groups", "tables", "n_first", "n_groups", "threshold")
        + _within(isa)
        + loop("k", "%n_first", "%n_groups", 1, add)
        + f"%final = load {vector}, ptr %sum, align {lanes}\n"
        + _mask("mask", "%final", isa)
        + """store i64 %mask, ptr %left.at
br label %bits.head
bits.head:
%left = load i64, ptr %left.at
%some = icmp ne i64 %left, 0
br i1 %some, label %bits.body, label %bits.done
bits.body:
%lane = call i64 @llvm.cttz.i64(i64 %left, i1 true)
%less = sub i64 %left, 1
%rest = and i64 %left, %less
store i64 %rest, ptr %left.at
"""
        + f"%along = mul i64 %lane, {STRETCH}\n"
        + "%start = add i64 %first, %along\n%new = icmp sge i64 %start, %position\n"
        + when("score", "%new", "call void @score(ptr %job, i64 %start)")
        + "br label %bits.head\nbits.done:\nret void\n}\n"
    )


def step(isa: InstructionSet, ring: int) -> str:
    """IR of @step: bounds and survivors of isa.unroll positions of a block; returns nothing.

    `here` is the byte of the first position's row in a plane, `first` the start of lane 0 there.
    Starts below `position` are done (the last block of a chunk overlaps the one before).
    """
    vector, lanes, n = f"<{isa.lanes} x i8>", isa.lanes, isa.unroll
    text = f"%sums = alloca [{n} x {vector}], align {lanes}\n"
    least = f"%least0 = load {vector}, ptr %sum0\n"
    add = _group("j", isa, ring)
    keep = ""
    for u in range(n):
        text += f"%sum{u} = alloca {vector}\nstore {vector} zeroinitializer, ptr %sum{u}\n"
        add += f"%j.at{u} = getelementptr i8, ptr %j.keys, i64 {u * lanes}\n"
        add += _add_bound("j", str(u), isa)
        keep += f"""%kept{u} = load {vector}, ptr %sum{u}
%sums.at{u} = getelementptr {vector}, ptr %sums, i64 {u}
store {vector} %kept{u}, ptr %sums.at{u}, align {lanes}
"""
    for u in range(1, n):
        least += f"""%now{u} = load {vector}, ptr %sum{u}
%least{u} = call {vector} @llvm.umin.v{lanes}i8({vector} %least{u - 1}, {vector} %now{u})
"""
    go_on = f"""%sum.at = getelementptr {vector}, ptr %sums, i64 %u
%sum = load {vector}, ptr %sum.at, align {lanes}
{_mask("u.mask", "%sum", isa)}
%u.some = icmp ne i64 %u.mask, 0
""" + when(
        "u.some",
        "%u.some",
        f"""%u.bytes = mul i64 %u, {lanes}
%u.here = add i64 %here, %u.bytes
%u.first = add i64 %first, %u
call void @finish(ptr %job, i64 %u.here, i64 %u.first, i64 %position, ptr %sum.at)""",
    )
    return (
        "define internal void @step(ptr %job, i64 %here, i64 %first, i64 %position) {\n"
        + text
        + JOB.read("planes", "groups", "tables", "n_first", "threshold")
        + _within(isa)
        + loop("j", "0", "%n_first", 1, add)
        + least
        + f"""%any.lane = icmp ule {vector} %least{n - 1}, %within
%any.bits = bitcast <{lanes} x i1> %any.lane to i{lanes}
%any = icmp ne i{lanes} %any.bits, 0
"""
        + when("any", "%any", keep + loop("u", 0, n, 1, go_on))
        + "ret void\n}\n"
    )
