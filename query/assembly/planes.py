"""LLVM IR that makes the planes of keys: transpose the digits, spell them, sum the levels."""

from indexer.ir import loop, shuffle, when
from query.assembly.layout import (
    GUARD,
    LETTER_POSITIONS,
    POSITIONS,
    STRETCH,
    TILE,
    InstructionSet,
)


def spell(isa: InstructionSet) -> str:
    """IR of @spell: a tile of the digits of `lanes` stretches, as the levels of each letter.

    16 positions at a time. Vector i starts as 16 positions of the stretches i, i + 16, i + 32, …,
    one in each 16-byte part. Four rounds that interleave the bytes of vectors i and i + 8 transpose
    the 16 x 16 bytes of every part at once: byte 16c + i of vector p is then stretch 16c + i.
    """
    lanes = isa.lanes
    lines = ["%block = getelementptr i8, ptr %digits, i64 %p"]
    for i in range(16):
        pieces = []
        for stretch in range(i, lanes, 16):
            lines.append(f"%s{stretch}.at = getelementptr i8, ptr %block, i64 {stretch * STRETCH}")
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
    for stage in range(4):
        for i in range(8):
            a, b = f"r{stage}.{i}", f"r{stage}.{i + 8}"
            lines.append(shuffle(f"r{stage + 1}.{2 * i}", lanes, a, b, low))
            lines.append(shuffle(f"r{stage + 1}.{2 * i + 1}", lanes, a, b, [k + 8 for k in low]))
    vector = f"<{lanes} x i8>"
    map_ = f"@{isa.lookup}"
    map_digits = f"""%letter.row = mul i64 %l, {lanes}
%letter.at = getelementptr i8, ptr %letters, i64 %letter.row
%letter = load {vector}, ptr %letter.at, align {lanes}
%levels.row = mul i64 %l, {LETTER_POSITIONS * lanes}
%levels.p = mul i64 %p, {lanes}
%levels.here = add i64 %levels.row, %levels.p
%out = getelementptr i8, ptr %levels, i64 %levels.here
"""
    for i in range(16):
        map_digits += f"""%level{i} = call {vector} {map_}({vector} %letter, {vector} %r4.{i})
%out{i} = getelementptr i8, ptr %out, i64 {(GUARD + i) * lanes}
store {vector} %level{i}, ptr %out{i}, align {lanes}
"""
    lines.append(loop("l", 0, "%n_letters", 1, map_digits))
    arguments = "ptr %digits, ptr noalias %letters, i64 %n_letters, ptr noalias %levels"
    return (
        f"define internal void @spell({arguments}) {{\n"
        + loop("p", 0, TILE, 16, "\n".join(lines))
        + "ret void\n}\n"
    )


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


def make_keys(size: int, isa: InstructionSet) -> str:
    """IR of @keys{size}: one tile of one plane, from the levels of `size` positions."""
    vector, lanes = f"<{isa.lanes} x i8>", isa.lanes
    body = f"%byte = mul i64 %i, {lanes}\n"
    terms = []
    for k in range(size):
        body += f"""%at{k} = getelementptr i8, ptr %term{k}, i64 %byte
%level{k} = load {vector}, ptr %at{k}, align {lanes}
"""
        terms.append(f"%level{k}")
    if size == 4:
        body += _sum("left", terms[0], terms[1], isa) + _sum("right", terms[2], terms[3], isa)
        terms = ["%left", "%right"]
    while len(terms) > 1:
        name = f"key{len(terms)}"
        body += _sum(name, terms[0], terms[1], isa)
        terms = [f"%{name}", *terms[2:]]
    body += f"""%out.at = getelementptr i8, ptr %out, i64 %byte
store {vector} {terms[0]}, ptr %out.at, align {lanes}"""
    arguments = ", ".join(f"ptr %term{k}" for k in range(4))
    return (
        f"define internal void @keys{size}({arguments}, ptr noalias %out) {{\n"
        + loop("i", 0, TILE, 1, body)
        + "ret void\n}\n"
    )


def make_planes(isa: InstructionSet) -> str:
    """IR that makes the planes of one block of digits at %from, tile by tile."""
    row = LETTER_POSITIONS * isa.lanes
    carry = f"""%carry.row = mul i64 %c, {row}
%carry.to = getelementptr i8, ptr %levels, i64 %carry.row
%carry.from = getelementptr i8, ptr %carry.to, i64 {TILE * isa.lanes}
call void @llvm.memcpy.p0.p0.i64(ptr %carry.to, ptr %carry.from, i64 {GUARD * isa.lanes}, i1 0)"""
    return loop(
        "t",
        0,
        POSITIONS,
        TILE,
        f"""%t.from = getelementptr i8, ptr %from, i64 %t
%t.row = mul i64 %t, {isa.lanes}
"""
        + loop("c", 0, "%n_letters", 1, carry)
        + "call void @spell(ptr %t.from, ptr %letters, i64 %n_letters, ptr %levels)\n"
        + loop("k", 0, "%n_kinds", 1, _make_plane(isa)),
    )


def _make_plane(isa: InstructionSet) -> str:
    """IR that makes a tile of the plane of kind %k."""
    text = "%kind.row = mul i64 %k, 4\n"
    for k in range(4):
        text += f"""%term{k}.index = add i64 %kind.row, {k}
%term{k}.at = getelementptr i64, ptr %kinds, i64 %term{k}.index
%term{k}.offset = load i64, ptr %term{k}.at
%term{k} = getelementptr i8, ptr %levels, i64 %term{k}.offset
"""
    text += f"""%plane.row = mul i64 %k, {(GUARD + POSITIONS) * isa.lanes}
%plane.here = add i64 %plane.row, %t.row
%out = getelementptr i8, ptr %planes, i64 %plane.here
"""
    for size in (1, 2, 3, 4):
        text += f"%is{size} = icmp eq i64 %group_size, {size}\n" + when(
            f"size{size}",
            f"%is{size}",
            f"call void @keys{size}(ptr %term0, ptr %term1, ptr %term2, ptr %term3, ptr %out)",
        )
    return text
