"""The exact scan as LLVM IR.

One routine, `scan`, serves every cost table. It works on blocks of lanes x STRETCH windows: each
byte lane of a vector walks its own stretch of the digits, so one vector holds the same position of
every stretch, and every load is aligned. It walks a block STEP positions at a time:

1. it transposes the digits (vector p is position p of all stretches), looks each digit up in a few
   letters, tables from digits to levels, and makes the planes of keys: each key is the sum of the
   levels of 1 to 4 neighbouring positions, halved and rounded up at each sum where tables have 16
   entries. Planes are rings that stay in the first cache;
2. it adds one table look-up a group of pixels, with saturation: a lower bound of the distance, in
   units of which `threshold` are within the limit. Most windows are out after the first groups;
3. it scores the windows that are left exactly, and stores those within the limit.

What the planes and tables are is data (query/plan.py): nothing is compiled for a bitmap.
"""

from indexer.ir import loop, when
from query.assembly.bounds import PLAIN_LOOP, SCORE, finish, step
from query.assembly.layout import (
    GUARD,
    JOB,
    LAG,
    PLAIN,
    POSITIONS,
    RING,
    STEP,
    STRETCH,
    InstructionSet,
)
from query.assembly.planes import make_keys

__all__ = ["assembly"]

_SCAN_PLAIN = "define void @scan(ptr %job) {\ncall void @plain(ptr %job)\nret void\n}\n"


def assembly(isa: InstructionSet) -> str:
    """The routine as LLVM IR."""
    if isa is PLAIN:
        return SCORE + PLAIN_LOOP + _SCAN_PLAIN
    vector = f"<{isa.lanes} x i8>"
    declarations = f"""declare {vector} @{isa.lookup}({vector}, {vector})
declare {vector} @llvm.uadd.sat.v{isa.lanes}i8({vector}, {vector})
declare {vector} @llvm.umin.v{isa.lanes}i8({vector}, {vector})
declare i64 @llvm.cttz.i64(i64, i1)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.umin.i64(i64, i64)
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
"""
    return declarations + "".join(
        [SCORE, PLAIN_LOOP, make_keys(isa), finish(isa, STRETCH), step(isa), _scan(isa)]
    )


def _scan(isa: InstructionSet) -> str:
    """IR of @scan for a set with vectors: block after block, then the rest one by one.

    The last block overlaps the one before so that it is whole; starts below `position` are done.
    """
    block = isa.lanes * STRETCH
    return (
        "define void @scan(ptr %job) {\n%at = alloca i64\n%resume.at = alloca i64\n"
        f"%carry = alloca [{GUARD * isa.lanes} x i8], align {isa.lanes}\n"
        + JOB.read("digits", "position", "step", "vector_end", "capacity", "planes")
        + JOB.read("letters", "kinds", "n_kinds", "group_size")
        + f"""
store i64 %position, ptr %at
store i64 %step, ptr %resume.at
%last = sub i64 %vector_end, {block}
br label %blocks.head
blocks.head:
%position.now = load i64, ptr %at
%more = icmp slt i64 %position.now, %vector_end
br i1 %more, label %blocks.body, label %blocks.done
blocks.body:
%begin = call i64 @llvm.smin.i64(i64 %position.now, i64 %last)
%from = getelementptr i8, ptr %digits, i64 %begin
%resume = load i64, ptr %resume.at
store i64 0, ptr %resume.at
{loop("t", 0, POSITIONS, STEP, _tile(isa))}
%position.next = add i64 %begin, {block}
store i64 %position.next, ptr %at
br label %blocks.head
blocks.done:
store i64 %position.now, ptr %position.at
store i64 0, ptr %step.at
call void @plain(ptr %job)
ret void
}}
"""
    )


def _tile(isa: InstructionSet) -> str:
    """IR that makes the keys of STEP positions and bounds the windows that are complete by then."""
    bound = "%p = add i64 %t.behind, %u\n%p.due = icmp sge i64 %p, %resume\n"
    bound += when("bound", "%p.due", _bound(isa))
    return f"""%t.digits = getelementptr i8, ptr %from, i64 %t
%t.row = urem i64 %t, {RING}
%t.first = icmp eq i64 %t.row, 0
%t.byte = mul i64 %t.row, {isa.lanes}
%t.planes = getelementptr i8, ptr %planes, i64 %t.byte
call void @keys(ptr %t.digits, ptr %letters, ptr %kinds, i64 %n_kinds, i64 %group_size,
  ptr %t.planes, i1 %t.first, ptr %carry)
%t.behind = sub i64 %t, {LAG}
""" + loop("u", 0, STEP, isa.unroll, bound)


def _bound(isa: InstructionSet) -> str:
    """IR that bounds isa.unroll positions from %p on; returns where found may not have room."""
    stop = JOB.write("position", "%position.now", "stop") + JOB.write("step", "%p", "stop")
    return (
        JOB.read("count")
        + f"""
%needed = add i64 %count, {isa.unroll * isa.lanes}
%full = icmp sgt i64 %needed, %capacity
"""
        + when("stop", "%full", stop + "ret void")
        + _prefetch(isa)
        + f"""
%position.row = add i64 %p, {GUARD}
%row = urem i64 %position.row, {RING}
%here = mul i64 %row, {isa.lanes}
%first = add i64 %begin, %p
call void @step(ptr %job, i64 %here, i64 %first, i64 %position.now)"""
    )


def _prefetch(isa: InstructionSet) -> str:
    """IR that fetches one step's share of the next block; past the end it has no effect.

    The transpose reads it too jumpily for the processor to foresee: without this a scan takes a
    third longer.
    """
    text = f"""%share = mul i64 %p, {isa.lanes}
%share.next = add i64 %share, {isa.lanes * STRETCH}
%ahead = getelementptr i8, ptr %from, i64 %share.next
"""
    for line in range(isa.unroll * isa.lanes // 64):
        text += f"""%ahead{line} = getelementptr i8, ptr %ahead, i64 {64 * line}
call void @llvm.prefetch.p0(ptr %ahead{line}, i32 0, i32 2, i32 1)
"""
    return text
