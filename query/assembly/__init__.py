"""The exact scan as LLVM IR.

One routine, `scan`, serves every cost table. It works on blocks of lanes x STRETCH windows: each
byte lane of a vector walks its own stretch of the digits, so one vector holds the same position of
every stretch, and every load is aligned. For each block it

1. transposes the digits (vector p is position p of all stretches) and maps them through a few
   letters: tables from digits to levels;
2. makes the planes of keys, each the sum of the levels of 1 to 4 neighbouring positions, halved and
   rounded up at each sum where tables have 16 entries. Both a tile at a time, in the first cache;
3. adds one table look-up a group of pixels, with saturation: a lower bound of the distance, in
   units of which `threshold` are within the limit. Most windows are out after the first groups;
4. scores the windows that are left exactly, and stores those within the limit.

What the planes and tables are is data (query/plan.py): nothing is compiled for a bitmap.
"""

from indexer.ir import loop, when
from query.assembly.bounds import PLAIN_LOOP, SCORE, SURVIVORS, step
from query.assembly.layout import (
    JOB,
    PLAIN,
    STRETCH,
    UNROLL,
    InstructionSet,
)
from query.assembly.planes import make_keys, make_planes, spell

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
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""
    keys = [make_keys(size, isa) for size in (1, 2, 3, 4)]
    return declarations + "".join(
        [SCORE, PLAIN_LOOP, spell(isa), *keys, SURVIVORS, step(isa), _scan(isa)]
    )


def _scan(isa: InstructionSet) -> str:
    """IR of @scan for a set with vectors: block after block, then the rest one by one.

    The last block overlaps the one before so that it is whole; starts below `position` are done.
    """
    block = isa.lanes * STRETCH
    return (
        "define void @scan(ptr %job) {\n%at = alloca i64\n%resume.at = alloca i64\n"
        + JOB.read("digits", "position", "step", "vector_end", "capacity", "planes")
        + JOB.read("letters", "n_letters", "levels", "kinds", "n_kinds", "group_size")
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
{make_planes(isa)}
%resume = load i64, ptr %resume.at
store i64 0, ptr %resume.at
{_steps(isa)}
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


def _steps(isa: InstructionSet) -> str:
    """IR that bounds a block, UNROLL positions a step; returns where found may not have room."""
    stop = JOB.write("position", "%position.now", "stop") + JOB.write("step", "%p", "stop")
    return loop(
        "p",
        "%resume",
        STRETCH,
        UNROLL,
        JOB.read("count")
        + f"""
%needed = add i64 %count, {UNROLL * isa.lanes}
%full = icmp sgt i64 %needed, %capacity
"""
        + when("stop", "%full", stop + "ret void")
        + _prefetch(isa)
        + f"""
%row = mul i64 %p, {isa.lanes}
%here = getelementptr i8, ptr %planes, i64 %row
%first = add i64 %begin, %p
call void @step(ptr %job, ptr %here, i64 %first, i64 %position.now)""",
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
    for line in range(UNROLL * isa.lanes // 64):
        text += f"""%ahead{line} = getelementptr i8, ptr %ahead, i64 {64 * line}
call void @llvm.prefetch.p0(ptr %ahead{line}, i32 0, i32 2, i32 1)
"""
    return text
