"""Pieces of LLVM IR as text: loops, conditions, fields of the job, shuffles.

Registers and labels are named after `name`, which must be used once in a function.
"""

from query.assembly.layout import JOB_FIELDS, POINTER_FIELDS


def read_fields(*fields: str) -> str:
    """IR that loads fields of the job into registers of the same names."""
    lines = []
    for field in fields:
        kind = "ptr" if field in POINTER_FIELDS else "i64"
        lines.append(f"%{field}.at = getelementptr i64, ptr %job, i64 {JOB_FIELDS.index(field)}")
        lines.append(f"%{field} = load {kind}, ptr %{field}.at")
    return "\n".join(lines) + "\n"


def write_field(field: str, value: str, label: str) -> str:
    """IR that stores a register into a field of the job; `label` keeps its name unique."""
    return (
        f"%{label}.{field}.at = getelementptr i64, ptr %job, i64 {JOB_FIELDS.index(field)}\n"
        f"store i64 {value}, ptr %{label}.{field}.at\n"
    )


def loop(name: str, begin: str | int, end: str | int, step: int, body: str) -> str:
    """IR of `for %name in range(begin, end, step): body`."""
    return f"""br label %{name}.enter
{name}.enter:
br label %{name}.head
{name}.head:
%{name} = phi i64 [{begin}, %{name}.enter], [%{name}.next, %{name}.latch]
%{name}.more = icmp slt i64 %{name}, {end}
br i1 %{name}.more, label %{name}.body, label %{name}.done
{name}.body:
{body}
br label %{name}.latch
{name}.latch:
%{name}.next = add nsw i64 %{name}, {step}
br label %{name}.head
{name}.done:
"""


def when(name: str, condition: str, body: str) -> str:
    """IR of `if condition: body`; the body may return."""
    jump = "" if body.rstrip().endswith("ret void") else f"br label %{name}.done"
    return f"""br i1 {condition}, label %{name}.then, label %{name}.done
{name}.then:
{body}
{jump}
{name}.done:
"""


def shuffle(name: str, lanes: int, a: str, b: str, picks: range | list[int]) -> str:
    """IR of a vector of the picked bytes of %a followed by %b."""
    mask = ", ".join(f"i32 {pick}" for pick in picks)
    vector = f"<{lanes} x i8>"
    return f"%{name} = shufflevector {vector} %{a}, {vector} %{b}, <{len(picks)} x i32> <{mask}>"
