"""LLVM IR that finds the lists to visit: cells in order of their sums, then the directory."""

from indexer.ir import loop, when
from query.assembly.list_layout import (
    ENTRY_BYTES,
    FIND,
    PENDING,
    PROBE_BYTES,
    ROW_BYTES,
    SMALL,
    add,
    doubles,
    prefetch,
    repeat,
)

# Turns pending cells into probes. Empty lists and damage drop out without a branch: sizes are
# noise. A probe is always written, where the next one goes if it counts.
_LOOK_UP = (
    f"define internal void @look_up(ptr %job, i64 %n_pending) noinline {SMALL} {{\n"
    + FIND.read("directory", "data_bytes", "pending", "probes", "count", "n_windows", "n_damaged")
    + f"%largest = udiv i64 %data_bytes, {ENTRY_BYTES}\n"
    + loop(
        "i",
        0,
        "%n_pending",
        1,
        f"""%cell.at = getelementptr i64, ptr %pending, i64 %i
%cell.32 = load i32, ptr %cell.at
%cell = zext i32 %cell.32 to i64
%sum.at = getelementptr i8, ptr %cell.at, i64 4
%sum = load i32, ptr %sum.at
%row = mul i64 %cell, {ROW_BYTES}
%size.at = getelementptr i8, ptr %directory, i64 %row
%size = load i64, ptr %size.at, align 1
%capacity.at = getelementptr i64, ptr %size.at, i64 1
%capacity = load i64, ptr %capacity.at, align 1
%offset.at = getelementptr i64, ptr %size.at, i64 2
%offset = load i64, ptr %offset.at, align 1
%size.ok = icmp ule i64 %size, %capacity
%capacity.ok = icmp ule i64 %capacity, %largest
%bytes = mul i64 %capacity, {ENTRY_BYTES}
%latest = sub i64 %data_bytes, %bytes
%offset.ok = icmp ule i64 %offset, %latest
%inside = and i1 %capacity.ok, %offset.ok
%ok = and i1 %size.ok, %inside
%some = icmp ne i64 %size, 0
%good = and i1 %some, %ok
%wrong = icmp ugt i1 %some, %ok
%place = load i64, ptr %count.at
%byte = mul i64 %place, {PROBE_BYTES}
%probe = getelementptr i8, ptr %probes, i64 %byte
store i64 %offset, ptr %probe
%probe.size = getelementptr i64, ptr %probe, i64 1
store i64 %size, ptr %probe.size
%probe.capacity = getelementptr i64, ptr %probe, i64 2
store i64 %capacity, ptr %probe.capacity
%probe.sum = getelementptr i64, ptr %probe, i64 3
store i32 %sum, ptr %probe.sum
%one = zext i1 %good to i64
%windows = select i1 %good, i64 %size, i64 0
%damage = zext i1 %wrong to i64
"""
        + add("count", "%one", "more")
        + add("n_windows", "%windows", "more.windows")
        + add("n_damaged", "%damage", "more.damage"),
    )
    + "ret void\n}\n"
)


def _within(name: str) -> str:
    """IR of %{name}.in: whether the cell sum float %{name} is within the limits."""
    return f"""%{name}.d = fpext float %{name} to double
%{name}.near = fcmp ole double %{name}.d, %cell_limit.f
%{name}.left = fsub double %prediction_limit.f, %{name}.d
%{name}.rest = fsub double %{name}.left, %code_floor.f
%{name}.hope = fcmp oge double %{name}.rest, 0.0
%{name}.in = and i1 %{name}.near, %{name}.hope
"""


def _row() -> str:
    """IR that lists the cells of one value of group 1."""
    stop = "store i64 %j1, ptr %next1.at\nret void"
    make_room = f"""call void @look_up(ptr %job, i64 %n)
store i64 0, ptr %n_pending.at
%count.now = load i64, ptr %count.at
%needed = add i64 %count.now, {PENDING}
%over = icmp ugt i64 %needed, %capacity
""" + when("stop", "%over", stop)
    cell = f"""%part0.at = getelementptr i64, ptr %parts, i64 %j0
%part0 = load i64, ptr %part0.at
%cell = or i64 %part1, %part0
%row = mul i64 %cell, {ROW_BYTES}
%row.end = add i64 %row, {ROW_BYTES - 1}
{prefetch("row", "%directory", "%row")}{prefetch("row.end", "%directory", "%row.end")}
%cell.32 = trunc i64 %cell to i32
%place = load i64, ptr %n_pending.at
%entry = getelementptr i64, ptr %pending, i64 %place
store i32 %cell.32, ptr %entry
%entry.sum = getelementptr i8, ptr %entry, i64 4
store float %sum, ptr %entry.sum
%place.next = add i64 %place, 1
store i64 %place.next, ptr %n_pending.at"""
    return (
        f"""%n = load i64, ptr %n_pending.at
%n.most = add i64 %n, %n_values
%tight = icmp ugt i64 %n.most, {PENDING}
"""
        + when("room", "%tight", make_room)
        + """%part1.at = getelementptr i64, ptr %parts1, i64 %j1
%part1 = load i64, ptr %part1.at
store i64 0, ptr %j0.at
"""
        + repeat(
            "inner",
            """%j0 = load i64, ptr %j0.at
%value0.at = getelementptr float, ptr %values, i64 %j0
%value0 = load float, ptr %value0.at
%sum = fadd float %value1, %value0
"""
            + _within("sum"),
            "%sum.in",
            "%beyond = fcmp ogt double %sum.d, %above.f\n"
            + when("cell", "%beyond", cell)
            + "%j0.next = add i64 %j0, 1\nstore i64 %j0.next, ptr %j0.at",
        )
    )


def find() -> str:
    """IR of @find, which lists cells, and of @look_up, which makes probes of them.

    Sums are float32, group 1 + group 0. Rounded sums still grow with their terms, so the first one
    out of limits ends a loop; the NaN behind each group's values is out of limits. Neighbouring
    cells of group 0 are neighbours in the directory: that loop is the inner one.
    """
    return (
        _LOOK_UP
        + f"define void @find(ptr %job) {SMALL} {{\n"
        + "".join(f"%{name}.at = alloca i64\n" for name in ("j1", "j0", "n_pending"))
        + FIND.read("values", "parts", "n_values", "cell_limit", "prediction_limit", "code_floor")
        + FIND.read("above", "directory", "pending", "capacity", "next1", "count")
        + doubles("cell_limit", "prediction_limit", "code_floor", "above")
        + """%stride = add i64 %n_values, 1
%values1 = getelementptr float, ptr %values, i64 %stride
%parts1 = getelementptr i64, ptr %parts, i64 %n_values
%lowest0 = load float, ptr %values
store i64 0, ptr %n_pending.at
store i64 %next1, ptr %j1.at
"""
        + repeat(
            "outer",
            """%j1 = load i64, ptr %j1.at
%value1.at = getelementptr float, ptr %values1, i64 %j1
%value1 = load float, ptr %value1.at
%least = fadd float %value1, %lowest0
"""
            + _within("least"),
            "%least.in",
            _row() + "%j1.next = add i64 %j1, 1\nstore i64 %j1.next, ptr %j1.at",
        )
        + """%n.last = load i64, ptr %n_pending.at
call void @look_up(ptr %job, i64 %n.last)
store i64 %n_values, ptr %next1.at
ret void
}
"""
    )
