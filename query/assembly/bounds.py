"""LLVM IR that adds bounds up, and scores what they leave."""

from indexer.ir import loop, when
from indexer.window import WINDOW
from query.assembly.layout import JOB, STRETCH, UNROLL, InstructionSet

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


def _add_groups(name: str, begin: str, end: str, isa: InstructionSet) -> str:
    """IR that adds the bounds of groups [begin, end) to the sums of UNROLL vectors."""
    vector, lanes = f"<{isa.lanes} x i8>", isa.lanes
    add = f"@llvm.uadd.sat.v{lanes}i8"
    body = f"""%{name}.group.at = getelementptr i64, ptr %groups, i64 %{name}
%{name}.group = load i64, ptr %{name}.group.at
%{name}.keys = getelementptr i8, ptr %here, i64 %{name}.group
%{name}.row = mul i64 %{name}, {lanes}
%{name}.table.at = getelementptr i8, ptr %tables, i64 %{name}.row
%{name}.table = load {vector}, ptr %{name}.table.at, align {lanes}
"""
    for u in range(UNROLL):
        body += f"""%{name}.key.at{u} = getelementptr i8, ptr %{name}.keys, i64 {u * lanes}
%{name}.key{u} = load {vector}, ptr %{name}.key.at{u}, align {lanes}
%{name}.bound{u} = call {vector} @{isa.lookup}({vector} %{name}.table, {vector} %{name}.key{u})
%{name}.old{u} = load {vector}, ptr %sum{u}
%{name}.new{u} = call {vector} {add}({vector} %{name}.old{u}, {vector} %{name}.bound{u})
store {vector} %{name}.new{u}, ptr %sum{u}
"""
    return loop(name, begin, end, 1, body)


# Scores the windows whose bits are set in the masks of one step of UNROLL vectors.
SURVIVORS = (
    "define internal void @survivors(ptr %job, ptr %masks, i64 %first, i64 %position) {\n"
    "%left.at = alloca i64\n"
    + loop(
        "u",
        0,
        UNROLL,
        1,
        """%mask.at = getelementptr i64, ptr %masks, i64 %u
%mask = load i64, ptr %mask.at
store i64 %mask, ptr %left.at
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
        f"%along = mul i64 %lane, {STRETCH}\n"
        """%start.0 = add i64 %first, %along
%start = add i64 %start.0, %u
%new = icmp sge i64 %start, %position
"""
        + when("score", "%new", "call void @score(ptr %job, i64 %start)")
        + "br label %bits.head\nbits.done:",
    )
    + "ret void\n}\n"
)


def _widen(mask: str, lanes: int) -> str:
    """IR of a mask of `lanes` bits as an i64 (LLVM has no zext to the same width)."""
    return f"add i64 {mask}, 0" if lanes == 64 else f"zext i{lanes} {mask} to i64"


def step(isa: InstructionSet) -> str:
    """IR of @step: bounds and survivors of UNROLL positions of a block; returns nothing.

    `here` is position p of plane 0, `first` the start of lane 0 at p. Starts below `position` are
    done (the last block of a chunk overlaps the one before).
    """
    vector, lanes = f"<{isa.lanes} x i8>", isa.lanes
    sums = "".join(
        f"%sum{u} = alloca {vector}\nstore {vector} zeroinitializer, ptr %sum{u}\n"
        for u in range(UNROLL)
    )
    least = f"%least0 = load {vector}, ptr %sum0\n"
    masks = f"%masks = alloca [{UNROLL} x i64]\n"
    for u in range(1, UNROLL):
        least += f"""%now{u} = load {vector}, ptr %sum{u}
%least{u} = call {vector} @llvm.umin.v{lanes}i8({vector} %least{u - 1}, {vector} %now{u})
"""
    scored = _add_groups("k", "%n_first", "%n_groups", isa)
    for u in range(UNROLL):
        scored += f"""%final{u} = load {vector}, ptr %sum{u}
%in{u} = icmp ule {vector} %final{u}, %within
%in.bits{u} = bitcast <{lanes} x i1> %in{u} to i{lanes}
%in.mask{u} = {_widen(f"%in.bits{u}", lanes)}
%in.at{u} = getelementptr i64, ptr %masks, i64 {u}
store i64 %in.mask{u}, ptr %in.at{u}
"""
    scored += "call void @survivors(ptr %job, ptr %masks, i64 %first, i64 %position)"
    return (
        "define internal void @step(ptr %job, ptr %here, i64 %first, i64 %position) {\n"
        + sums
        + masks
        + JOB.read("groups", "tables", "n_first", "n_groups", "threshold")
        + f"""
%threshold.8 = trunc i64 %threshold to i8
%threshold.1 = insertelement {vector} poison, i8 %threshold.8, i64 0
%within = shufflevector {vector} %threshold.1, {vector} poison, <{lanes} x i32> zeroinitializer
"""
        + _add_groups("j", "0", "%n_first", isa)
        + least
        + f"""%any.lane = icmp ule {vector} %least{UNROLL - 1}, %within
%any.bits = bitcast <{lanes} x i1> %any.lane to i{lanes}
%any = icmp ne i{lanes} %any.bits, 0
"""
        + when("scored", "%any", scored)
        + "ret void\n}\n"
    )
