"""LLVM IR that makes the planes of keys: transpose the digits, look their levels up, add them."""

from indexer.ir import loop, shuffle, when
from query.assembly.layout import (
    GROUP_SIZES,
    GUARD,
    MIRROR,
    STEP,
    STRETCH,
    InstructionSet,
)


def make_keys(isa: InstructionSet, ring: int) -> str:
    """IR of @keys: 16 positions of the planes of all kinds of keys of one block of digits.

    `digits` is the first position of the block's first stretch, `planes` the row of the first plane
    where they go, `first` whether that is row 0, which is repeated behind the last; a plane is a
    ring of `ring` rows. What is transposed stays in registers. The keys of a position need up to
    GUARD digits more, so those that are made are GUARD positions behind; `carry` keeps as many
    digits for the next call.
    """
    vector, lanes = f"<{isa.lanes} x i8>", isa.lanes
    body = _transpose(isa)
    for g in range(GUARD):
        body += f"%carry{g} = getelementptr i8, ptr %carry, i64 {g * lanes}\n"
        body += f"%d{g} = load {vector}, ptr %carry{g}, align {lanes}\n"
    for g in range(GUARD):
        body += f"store {vector} %d{STEP + g}, ptr %carry{g}, align {lanes}\n"
    for size in GROUP_SIZES:
        keys = loop(f"k{size}", 0, "%n_kinds", 1, _sum_levels(size, isa, ring))
        body += f"%is{size} = icmp eq i64 %group_size, {size}\n" + when(
            f"size{size}", f"%is{size}", keys
        )
    arguments = "ptr noalias %digits, ptr noalias %letters, ptr noalias %kinds, i64 %n_kinds, "
    arguments += "i64 %group_size, ptr noalias %planes, i1 %first, ptr noalias %carry"
    return f"define internal void @keys({arguments}) {{\n{body}ret void\n}}\n"


def _transpose(isa: InstructionSet) -> str:
    """IR of %d3 to %d18: the digits of `lanes` stretches at 16 positions from %digits on.

    Vector i starts as 16 positions of the stretches i, i + 16, i + 32, …, one in each 16-byte part.
    Four rounds that interleave the bytes of vectors i and i + 8 transpose the 16 x 16 bytes of
    every part at once: byte 16c + i of vector p is then stretch 16c + i.
    """
    lanes = isa.lanes
    lines = []
    for i in range(16):
        pieces = []
        for stretch in range(i, lanes, 16):
            lines.append(f"%s{stretch}.at = getelementptr i8, ptr %digits, i64 {stretch * STRETCH}")
            lines.append(f"%s{stretch} = load <16 x i8>, ptr %s{stretch}.at, align 1")
            pieces.append(f"s{stretch}")
        width = 16
        while len(pieces) > 1:
            picks = range(2 * width)
            pairs = list(zip(pieces[::2], pieces[1::2], strict=True))
            lines += [shuffle(f"{a}.{b}", width, a, b, picks) for a, b in pairs]
            pieces, width = [f"{a}.{b}" for a, b in pairs], 2 * width
        lines.append(f"%r0.{i} = and <{lanes} x i8> %{pieces[0]}, splat (i8 15)")
    low = [b + k + o for b in range(0, lanes, 16) for k in range(8) for o in (0, lanes)]
    high = [k + 8 for k in low]
    for stage in range(4):
        for i in range(8):
            a, b = f"r{stage}.{i}", f"r{stage}.{i + 8}"
            for k, half in enumerate((low, high)):
                row = 2 * i + k
                name = f"d{GUARD + row}" if stage == 3 else f"r{stage + 1}.{row}"
                lines.append(shuffle(name, lanes, a, b, half))
    return "\n".join(lines) + "\n"


def _sum_levels(size: int, isa: InstructionSet, ring: int) -> str:
    """IR of 16 positions of the plane of kind %k: the sums of the levels of `size` digits."""
    vector, lanes, name = f"<{isa.lanes} x i8>", isa.lanes, f"k{size}"
    text = f"%{name}.row = mul i64 %{name}, {4 * 8}\n"
    text += f"%{name}.kind = getelementptr i8, ptr %kinds, i64 %{name}.row\n"
    for j in range(size):
        text += f"""%{name}.at{j} = getelementptr i64, ptr %{name}.kind, i64 {j}
%{name}.offset{j} = load i64, ptr %{name}.at{j}
%{name}.from{j} = getelementptr i8, ptr %letters, i64 %{name}.offset{j}
%{name}.letter{j} = load {vector}, ptr %{name}.from{j}, align {lanes}
"""
    text += f"""%{name}.plane = mul i64 %{name}, {(ring + MIRROR) * lanes}
%{name}.out = getelementptr i8, ptr %planes, i64 %{name}.plane
"""
    for i in range(STEP):
        terms = []
        for j in range(size):
            level = f"{name}.level{i}.{j}"
            letter = f"{vector} %{name}.letter{j}"
            text += f"%{level} = call {vector} @{isa.lookup}({letter}, {vector} %d{i + j})\n"
            terms.append(f"%{level}")
        if size == 4:
            left, right = f"{name}.left{i}", f"{name}.right{i}"
            text += _sum(left, terms[0], terms[1], isa) + _sum(right, terms[2], terms[3], isa)
            terms = [f"%{left}", f"%{right}"]
        while len(terms) > 1:
            key = f"{name}.key{i}.{len(terms)}"
            text += _sum(key, terms[0], terms[1], isa)
            terms = [f"%{key}", *terms[2:]]
        text += f"""%{name}.out{i} = getelementptr i8, ptr %{name}.out, i64 {i * lanes}
store {vector} {terms[0]}, ptr %{name}.out{i}, align {lanes}
"""
    mirror = ""
    for i in range(MIRROR):
        mirror += f"""%{name}.again{i} = getelementptr i8, ptr %{name}.out, i64 {(ring + i) * lanes}
%{name}.row{i} = load {vector}, ptr %{name}.out{i}, align {lanes}
store {vector} %{name}.row{i}, ptr %{name}.again{i}, align {lanes}
"""
    return text + when(f"{name}.mirror", "%first", mirror)


def _sum(name: str, a: str, b: str, isa: InstructionSet) -> str:
    """IR of the sum of two keys; the rounded-up mean is one instruction wherever it is used."""
    vector, wide = f"<{isa.lanes} x i8>", f"<{isa.lanes} x i16>"
    if isa.entries == 64:
        return f"%{name} = add {vector} {a}, {b}\n"
    return f"""%{name}.a = zext {vector} {a} to {wide}
%{name}.b = zext {vector} {b} to {wide}
%{name}.sum = add {wide} %{name}.a, %{name}.b
%{name}.up = add {wide} %{name}.sum, splat (i16 1)
%{name}.half = lshr {wide} %{name}.up, splat (i16 1)
%{name} = trunc {wide} %{name}.half to {vector}
"""


def add_planes(isa: InstructionSet, ring: int) -> str:
    """IR of @sums: 16 positions of planes that are sums of two others, in the order of `sums`.

    Of the plane of row s of `sums`, n_kinds + s, the keys are those of the one plus those of the
    other, at most isa.entries - 1. The keys of a plane that covers k positions begin k - 1 rows
    before the digits, so those of the first are `k of the second` rows back, which is part of its
    offset; `row` is where 16 new rows begin, in bytes, and `first` whether that is row 0: then what
    lies back is at the end of the ring, and is followed by the copy of its first rows.
    """
    vector, lanes = f"<{isa.lanes} x i8>", isa.lanes
    least, most = f"@llvm.umin.v{lanes}i8", f"splat (i8 {isa.entries - 1})"
    text = f"""%back.row = select i1 %first, i64 {ring * lanes}, i64 %row
%n_planes = add i64 %n_kinds, %n_sums
"""
    body = f"""%s = sub i64 %plane, %n_kinds
%s.twice = shl i64 %s, 1
%a.at = getelementptr i64, ptr %sums, i64 %s.twice
%a.offset = load i64, ptr %a.at
%b.at = getelementptr i64, ptr %a.at, i64 1
%b.offset = load i64, ptr %b.at
%a.byte = add i64 %a.offset, %back.row
%b.byte = add i64 %b.offset, %row
%plane.byte = mul i64 %plane, {(ring + MIRROR) * lanes}
%out.byte = add i64 %plane.byte, %row
%a = getelementptr i8, ptr %planes, i64 %a.byte
%b = getelementptr i8, ptr %planes, i64 %b.byte
%out = getelementptr i8, ptr %planes, i64 %out.byte
"""
    mirror = ""
    for i in range(STEP):
        body += f"""%a.at{i} = getelementptr i8, ptr %a, i64 {i * lanes}
%b.at{i} = getelementptr i8, ptr %b, i64 {i * lanes}
%a{i} = load {vector}, ptr %a.at{i}, align {lanes}
%b{i} = load {vector}, ptr %b.at{i}, align {lanes}
%sum{i} = add {vector} %a{i}, %b{i}
%key{i} = call {vector} {least}({vector} %sum{i}, {vector} {most})
"""
    for i in range(STEP):
        body += f"""%out.at{i} = getelementptr i8, ptr %out, i64 {i * lanes}
store {vector} %key{i}, ptr %out.at{i}, align {lanes}
"""
        mirror += f"""%again.at{i} = getelementptr i8, ptr %out, i64 {(ring + i) * lanes}
store {vector} %key{i}, ptr %again.at{i}, align {lanes}
"""
    body += when("mirror", "%first", mirror)
    arguments = "ptr noalias %planes, ptr noalias %sums, i64 %n_kinds, i64 %n_sums, "
    arguments += "i64 %row, i1 %first"
    text += loop("plane", "%n_kinds", "%n_planes", 1, body)
    return f"define internal void @sums({arguments}) {{\n{text}ret void\n}}\n"
