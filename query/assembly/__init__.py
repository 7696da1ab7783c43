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

Another routine, `scan_together`, bounds the windows of a step for many cost tables, one after the
other, from planes that they share (query/sharing.py); it leaves what is no whole block to `scan`.
"""

from dataclasses import dataclass

from indexer.ir import JobFields, loop, when
from query.assembly.bounds import PLAIN_LOOP, SCORE, finish, step
from query.assembly.layout import (
    GUARD,
    JOB,
    LAG,
    PLAIN,
    POSITIONS,
    RING,
    SHARED_JOB,
    SHARED_RING,
    SHARED_TILE,
    STEP,
    STRETCH,
    InstructionSet,
)
from query.assembly.planes import add_planes, make_keys

__all__ = ["assembly", "shared_assembly"]

_SCAN_PLAIN = "define void @scan(ptr %job) {\ncall void @plain(ptr %job)\nret void\n}\n"


def assembly(isa: InstructionSet) -> str:
    """The routine as LLVM IR."""
    if isa is PLAIN:
        return SCORE + PLAIN_LOOP + _SCAN_PLAIN
    parts = [_declarations(isa), SCORE, PLAIN_LOOP, make_keys(isa, RING)]
    parts += [finish(isa, RING), step(isa, RING)]
    return "".join([*parts, _scan(isa)])


def shared_assembly(isa: InstructionSet) -> str:
    """The routine for many tables as LLVM IR; isa has vectors."""
    parts = [_declarations(isa), SCORE, make_keys(isa, SHARED_RING)]
    parts += [add_planes(isa, SHARED_RING), finish(isa, SHARED_RING), step(isa, SHARED_RING)]
    return "".join([*parts, _HAS_ROOM, _scan_together(isa)])


def _declarations(isa: InstructionSet) -> str:
    vector = f"<{isa.lanes} x i8>"
    return f"""declare {vector} @{isa.lookup}({vector}, {vector})
declare {vector} @llvm.uadd.sat.v{isa.lanes}i8({vector}, {vector})
declare {vector} @llvm.umin.v{isa.lanes}i8({vector}, {vector})
declare i64 @llvm.cttz.i64(i64, i1)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.umin.i64(i64, i64)
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
"""


def _scan(isa: InstructionSet) -> str:
    """IR of @scan for a set with vectors: block after block, then the rest one by one."""
    keys = """call void @keys(ptr %t.digits, ptr %letters, ptr %kinds, i64 %n_kinds,
  i64 %group_size, ptr %t.planes, i1 %t.first, ptr %carry)
"""
    # what @full says, in line: with a call in its loop a scan takes a tenth longer
    full = JOB.read("count")
    full += f"%needed = add i64 %count, {STEP * isa.lanes}\n"
    full += "%full = icmp sgt i64 %needed, %capacity\n"
    walk = _Walk(isa, JOB, STEP, RING, keys, full, _steps("%job", isa, STEP, RING))
    return (
        "define void @scan(ptr %job) {\n"
        + JOB.read("letters", "kinds", "n_kinds", "group_size", "capacity")
        + walk.blocks()
        + "call void @plain(ptr %job)\nret void\n}\n"
    )


def _steps(job: str, isa: InstructionSet, tile: int, ring: int) -> str:
    """IR that bounds the positions of a tile, from %p on, for one job."""
    return loop(
        "u",
        0,
        tile,
        isa.unroll,
        f"""%at.p = add i64 %p, %u
%at.slot = add i64 %at.p, {GUARD}
%at.row = urem i64 %at.slot, {ring}
%here = mul i64 %at.row, {isa.lanes}
%first = add i64 %begin, %at.p
call void @step(ptr {job}, i64 %here, i64 %first, i64 %position.now)""",
    )


# Whether a question's table of finds has room for what one step can find.
_HAS_ROOM = (
    "define internal i1 @full(ptr %job, i64 %more) {\n"
    + JOB.read("count", "capacity")
    + """%needed = add i64 %count, %more
%full = icmp sgt i64 %needed, %capacity
ret i1 %full
}
"""
)


def _scan_together(isa: InstructionSet) -> str:
    """IR of @scan_together: whole blocks, every tile for all questions."""
    keys = """call void @keys(ptr %t.digits, ptr %letters, ptr %kinds, i64 %n_kinds, i64 1,
  ptr %t.planes, i1 %t.first, ptr %carry)
call void @sums(ptr %planes, ptr %sums, i64 %n_kinds, i64 %n_sums, i64 %t.byte, i1 %t.first)
"""
    check = f"""%f.full = call i1 @full(ptr %f.job, i64 {SHARED_TILE * isa.lanes})
%f.before = load i1, ptr %some.full
%f.some = or i1 %f.full, %f.before
store i1 %f.some, ptr %some.full"""
    full = "store i1 false, ptr %some.full\n"
    full += loop("f", 0, "%n_questions", 1, _question("f") + check)
    full += "%full = load i1, ptr %some.full\n"
    steps = _question("q") + _steps("%q.job", isa, SHARED_TILE, SHARED_RING)
    bound = loop("q", 0, "%n_questions", 1, steps)
    walk = _Walk(isa, SHARED_JOB, SHARED_TILE, SHARED_RING, keys, full, bound)
    return (
        "define void @scan_together(ptr %job) {\n%some.full = alloca i1\n"
        + SHARED_JOB.read("letters", "kinds", "n_kinds", "sums", "n_sums")
        + SHARED_JOB.read("questions", "n_questions")
        + walk.blocks()
        + "ret void\n}\n"
    )


def _question(name: str) -> str:
    """IR of %name.job, the job of question %name."""
    return f"""%{name}.at = getelementptr ptr, ptr %questions, i64 %{name}
%{name}.job = load ptr, ptr %{name}.at
"""


@dataclass(frozen=True)
class _Walk:
    """A walk over the blocks of [position, vector_end).

    Planes are rings of `ring` rows. keys makes the keys of STEP positions; bound bounds the windows
    at `tile` positions, from %p on, where all their keys are there; full says in %full whether
    there may be no room for what that finds: then the routine returns.
    """

    isa: InstructionSet
    job: JobFields
    tile: int
    ring: int
    keys: str
    full: str
    bound: str

    def blocks(self) -> str:
        """IR of the walk, which goes on behind it.

        The last block overlaps the one before so that it is whole; starts below `position` are
        done.
        """
        lanes = self.isa.lanes
        block = lanes * STRETCH
        return (
            "%at = alloca i64\n%resume.at = alloca i64\n"
            f"%carry = alloca [{GUARD * lanes} x i8], align {lanes}\n"
            + self.job.read("digits", "position", "step", "vector_end", "planes")
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
{loop("t", 0, POSITIONS, STEP, self._positions())}
%position.next = add i64 %begin, {block}
store i64 %position.next, ptr %at
br label %blocks.head
blocks.done:
store i64 %position.now, ptr %position.at
store i64 0, ptr %step.at
"""
        )

    def _positions(self) -> str:
        """IR that makes the keys of STEP positions, and bounds the tile that is complete then."""
        return f"""%t.digits = getelementptr i8, ptr %from, i64 %t
%t.row = urem i64 %t, {self.ring}
%t.first = icmp eq i64 %t.row, 0
%t.byte = mul i64 %t.row, {self.isa.lanes}
%t.planes = getelementptr i8, ptr %planes, i64 %t.byte
{self.keys}%t.past = add i64 %t, {STEP}
%t.over = urem i64 %t.past, {self.tile}
%t.whole = icmp eq i64 %t.over, 0
%p = sub i64 %t.past, {LAG + self.tile}
%p.due = icmp sge i64 %p, %resume
%bounded = and i1 %t.whole, %p.due
""" + when("bound", "%bounded", self._tile())

    def _tile(self) -> str:
        stop = self.job.write("position", "%position.now", "stop")
        stop += self.job.write("step", "%p", "stop")
        return (
            self.full
            + when("stop", "%full", stop + "ret void")
            + _prefetch(self.isa, self.tile)
            + self.bound
        )


def _prefetch(isa: InstructionSet, tile: int) -> str:
    """IR that fetches one tile's share of the next block; past the end it has no effect.

    The transpose reads it too jumpily for the processor to foresee: without this a scan takes a
    third longer.
    """
    text = f"""%share = mul i64 %p, {isa.lanes}
%share.next = add i64 %share, {isa.lanes * STRETCH}
%ahead = getelementptr i8, ptr %from, i64 %share.next
"""
    for line in range(tile * isa.lanes // 64):
        text += f"""%ahead{line} = getelementptr i8, ptr %ahead, i64 {64 * line}
call void @llvm.prefetch.p0(ptr %ahead{line}, i32 0, i32 2, i32 1)
"""
    return text
