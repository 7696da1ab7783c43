"""The search of inverted lists as LLVM IR.

Two routines. `find` walks the sums of two sorted groups of values and looks up the lists of the
cells within the limits. `search` adds up, for every code of those lists, a level for each of its 12
nibbles; where the sum is within the list's budget the window is scored exactly.

Whatever is at a random place is asked for long before it is used, so that misses overlap:

    a row of the directory     when its cell is listed, read after up to PENDING others
    the first codes of a list  AHEAD lists before, the next ones NEAR lists before
    the id of a code           when the code passes, read after up to WAITING others
    the digits of a window     when its id is read, scored a round of WAITING later

What is looked for is data (query/lists.py): nothing is compiled for a question.
"""

from indexer.cells import CODE_BYTES
from indexer.ir import loop, shuffle, when
from query.assembly.layout import InstructionSet
from query.assembly.list_layout import (
    AHEAD,
    BATCH,
    CODES_AHEAD,
    MOST,
    NEAR,
    PROBE_BYTES,
    SEARCH,
    SMALL,
    VNNI,
    WAITING,
    add,
    addresses,
    doubles,
    each_bit,
    prefetch,
)
from query.assembly.list_probes import find
from query.assembly.list_scores import flush

__all__ = ["list_assembly"]

_DECLARATIONS = """declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.umax.i64(i64, i64)
declare i64 @llvm.cttz.i64(i64, i1)
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
"""
_VECTOR_DECLARATIONS = """declare <64 x i8> @llvm.x86.avx512.permvar.qi.512(<64 x i8>, <64 x i8>)
declare <16 x i32> @llvm.x86.avx512.permvar.si.512(<16 x i32>, <16 x i32>)
declare <16 x i32> @llvm.x86.avx512.vpdpbusd.512(<16 x i32>, <16 x i32>, <16 x i32>)
declare <16 x i32> @llvm.masked.load.v16i32.p0(ptr, i32, <16 x i1>, <16 x i32>)
"""

# Tables of 64 bytes that hold the levels.
_TABLES = 3
# Cache lines of a list that are asked for first. The last load of a short one is masked, but waits
# for the line all the same: with 2, lists of 10 codes take 3 times as long.
_LINES = 3

# The largest sum of levels that is within a prediction limit, in a list with that cell sum: -1
# where none is, MOST where all are.
_BUDGET = f"""define internal i64 @budget(double %limit, double %sum, double %floor, double %unit)
alwaysinline {{
%left = fsub double %limit, %sum
%rest = fsub double %left, %floor
%levels = fdiv double %rest, %unit
%some = fcmp oge double %levels, 0.0
%few = fcmp olt double %levels, {MOST}.0
%finite = select i1 %few, double %levels, double {MOST}.0
%positive = select i1 %some, double %finite, double 0.0
%whole = fptosi double %positive to i64
%budget = select i1 %some, i64 %whole, i64 -1
ret i64 %budget
}}
"""


def list_assembly(isa: InstructionSet) -> str:
    """Both routines, `find` and `search`, as LLVM IR."""
    scan = _scan_vectors() if isa is VNNI else _scan_plain()
    vector_declarations = _VECTOR_DECLARATIONS if isa is VNNI else ""
    return _DECLARATIONS + vector_declarations + find() + flush(isa) + _BUDGET + _search(scan)


def _make_room() -> str:
    """IR that makes room for BATCH more ids to wait; stops at %at of %probe where found is full."""
    stop = "store i64 %p, ptr %probe.at\nstore i64 %at, ptr %position.at\nret void"
    return f"""%waiting.now = load i64, ptr %n_waiting.at
%tight = icmp ugt i64 %waiting.now, {WAITING - BATCH}
""" + when(
        "room",
        "%tight",
        """call void @flush(ptr %job)
%full.now = load i64, ptr %full.at
%stop = icmp ne i64 %full.now, 0
"""
        + when("stop", "%stop", stop),
    )


def _wait(position: str) -> str:
    """IR that lets the id at a position of the list wait, and asks for it."""
    return f"""%id.at = getelementptr i64, ptr %ids, i64 {position}
{prefetch("id", "%id.at", 0)}
%place = load i64, ptr %n_waiting.at
%place.at = getelementptr ptr, ptr %waiting, i64 %place
store ptr %id.at, ptr %place.at
%place.next = add i64 %place, 1
store i64 %place.next, ptr %n_waiting.at
"""


def _scan_plain() -> str:
    """IR that scans positions [%begin, %size) of a list, one by one, two nibbles at a time."""
    text = f"""%from = mul i64 %at, {CODE_BYTES}
%code.at = getelementptr i8, ptr %codes, i64 %from
%front.32 = load i32, ptr %code.at, align 1
%back.at = getelementptr i8, ptr %code.at, i64 4
%back.16 = load i16, ptr %back.at, align 1
%front = zext i32 %front.32 to i64
%back = zext i16 %back.16 to i64
%back.up = shl i64 %back, 32
%code = or i64 %front, %back.up
%sum0 = sub i32 0, %skip.32
"""
    for byte in range(CODE_BYTES):
        text += f"""%shifted{byte} = lshr i64 %code, {8 * byte}
%byte{byte} = and i64 %shifted{byte}, 255
%row{byte} = or i64 %byte{byte}, {256 * byte}
%levels{byte}.at = getelementptr i32, ptr %levels, i64 %row{byte}
%levels{byte} = load i32, ptr %levels{byte}.at
%sum{byte + 1} = add i32 %sum{byte}, %levels{byte}
"""
    text += f"%passes = icmp ule i32 %sum{CODE_BYTES}, %width.32\n"
    return loop(
        "at", "%begin", "%size", 1, text + when("pass", "%passes", _make_room() + _wait("%at"))
    )


def _splat(name: str, value: str) -> str:
    """IR of %{name}: an int32 value in 16 lanes."""
    return f"""%{name}.1 = insertelement <16 x i32> poison, i32 {value}, i64 0
%{name} = shufflevector <16 x i32> %{name}.1, <16 x i32> poison, <16 x i32> zeroinitializer
"""


def _nibbles() -> str:
    """IR of %x0, %x1 and %x2: the 12 nibbles of 16 codes as bytes, 4 of each code in an int32.

    The codes are 96 bytes, %head and the first half of %rest. %x0 are the low nibbles of bytes 0 to
    3, %x1 the high ones, %x2 the low and the high ones of bytes 4 and 5. So 3 look-ups in tables of
    64 bytes do, where a code in 8 bytes takes 4, for 8 codes each, in tables of 128.
    """
    starts = range(0, CODE_BYTES * BATCH, CODE_BYTES)
    front = [start + byte for start in starts for byte in (0, 1, 2, 3)]
    back = [start + byte for start in starts for byte in (4, 5, 4, 5)]
    mask = f"splat (i32 {0x0F0F0F0F})"
    aside = ", ".join(f"i16 {shift}" for shift in (0, 4) * BATCH)
    return f"""{shuffle("front", 64, "head", "rest", front)}
{shuffle("back", 64, "head", "rest", back)}
%front.32 = bitcast <64 x i8> %front to <16 x i32>
%front.down = lshr <16 x i32> %front.32, splat (i32 4)
%back.16 = bitcast <64 x i8> %back to <32 x i16>
%back.down = lshr <32 x i16> %back.16, <{aside}>
%back.32 = bitcast <32 x i16> %back.down to <16 x i32>
%x0 = and <16 x i32> %front.32, {mask}
%x1 = and <16 x i32> %front.down, {mask}
%x2 = and <16 x i32> %back.32, {mask}
"""


def _sums() -> str:
    """IR of %sums: the levels of the 12 nibbles of 16 codes, added up, less skip.

    Byte b of an int32 looks at 16b + nibble, so 0x30201000 goes in front of the nibbles.
    """
    quarters, ones = (f"splat (i32 {n})" for n in (0x30201000, 0x01010101))
    dot = "call <16 x i32> @llvm.x86.avx512.vpdpbusd.512"
    text = _nibbles()
    for k in range(_TABLES):
        text += f"""%places{k} = or <16 x i32> %x{k}, {quarters}
%bytes{k} = bitcast <16 x i32> %places{k} to <64 x i8>
%levels{k} = call <64 x i8> @{VNNI.lookup}(<64 x i8> %table{k}, <64 x i8> %bytes{k})
"""
    return (
        text
        + f"""%pairs = add <64 x i8> %levels0, %levels1
%pairs.32 = bitcast <64 x i8> %pairs to <16 x i32>
%levels2.32 = bitcast <64 x i8> %levels2 to <16 x i32>
%sums.back = {dot}(<16 x i32> %minus.skip, <16 x i32> %levels2.32, <16 x i32> {ones})
%sums = {dot}(<16 x i32> %sums.back, <16 x i32> %pairs.32, <16 x i32> {ones})
"""
    )


def _readable() -> str:
    """IR of %in.head and %in.rest: which int32 of 96 bytes from a code on may be read.

    All, but for lists shorter than 16 codes. Of others the ids are longer than what the last codes
    leave of 96 bytes, so nothing behind a list is read. It is the same for all steps of a list.
    """
    head, rest = (", ".join(f"i32 {lane + k}" for lane in range(16)) for k in (0, 16))
    return f"""%bytes.up = add i64 %bytes, 3
%words = lshr i64 %bytes.up, 2
%words.most = call i64 @llvm.umin.i64(i64 %words, i64 {CODE_BYTES * BATCH // 4})
%words.behind = shl i64 -1, %words.most
%words.behind.32 = trunc i64 %words.behind to i32
%in.32 = xor i32 %words.behind.32, -1
%in = bitcast i32 %in.32 to <32 x i1>
%in.head = shufflevector <32 x i1> %in, <32 x i1> poison, <16 x i32> <{head}>
%in.rest = shufflevector <32 x i1> %in, <32 x i1> poison, <16 x i32> <{rest}>
"""


def _scan_vectors() -> str:
    """IR that scans positions [%begin, %size) of a list, 16 at a time: 0.11 ns a code."""
    load = "call <16 x i32> @llvm.masked.load.v16i32.p0"
    step = f"""%left = sub i64 %size, %at
%lanes = call i64 @llvm.umin.i64(i64 %left, i64 {BATCH})
%beyond = shl i64 -1, %lanes
%beyond.16 = trunc i64 %beyond to i16
%real.16 = xor i16 %beyond.16, -1
%real = bitcast i16 %real.16 to <16 x i1>
%from = mul i64 %at, {CODE_BYTES}
%later = add i64 %from, {CODES_AHEAD * CODE_BYTES}
%later.byte = call i64 @llvm.umin.i64(i64 %later, i64 %bytes)
{prefetch("later", "%codes", "%later.byte")}{prefetch("latest", "%later.line", 48)}
%head.at = getelementptr i8, ptr %codes, i64 %from
%rest.at = getelementptr i8, ptr %head.at, i64 64
%head.32 = {load}(ptr %head.at, i32 1, <16 x i1> %in.head, <16 x i32> zeroinitializer)
%rest.32 = {load}(ptr %rest.at, i32 1, <16 x i1> %in.rest, <16 x i32> zeroinitializer)
%head = bitcast <16 x i32> %head.32 to <64 x i8>
%rest = bitcast <16 x i32> %rest.32 to <64 x i8>
{_sums()}
%within = icmp ule <16 x i32> %sums, %widths
%passes = and <16 x i1> %within, %real
%passes.16 = bitcast <16 x i1> %passes to i16
%some = icmp ne i16 %passes.16, 0
"""
    wait = each_bit("lane", "%mask", "%lane.at = add i64 %at, %lane\n" + _wait("%lane.at"))
    hits = _make_room() + "%mask = zext i16 %passes.16 to i64\n" + wait
    tables = "".join(
        f"""%table{k}.at = getelementptr i8, ptr %levels, i64 {64 * k}
%table{k} = load <64 x i8>, ptr %table{k}.at, align 1
"""
        for k in range(_TABLES)
    )
    return (
        "%skip.minus = sub i32 0, %skip.32\n"
        + _splat("minus.skip", "%skip.minus")
        + _splat("widths", "%width.32")
        + tables
        + f"%bytes = mul i64 %size, {CODE_BYTES}\n"
        + _readable()
        + loop("at", "%begin", "%size", BATCH, step + when("hits", "%some", hits))
    )


def _finish(name: str) -> str:
    """IR that calls @flush and returns where found is full."""
    return f"""call void @flush(ptr %job)
%{name}.full = load i64, ptr %full.at
%{name}.stop = icmp ne i64 %{name}.full, 0
""" + when(name, f"%{name}.stop", "ret void")


def _ask() -> str:
    """IR that asks for codes of later lists: three lines of one, the next ones of a nearer one.

    Without the latter a list of 150 codes takes twice as long.
    """
    return (
        f"""%ahead = add i64 %p, {AHEAD}
%ahead.p = call i64 @llvm.smin.i64(i64 %ahead, i64 %last)
%ahead.byte = mul i64 %ahead.p, {PROBE_BYTES}
%ahead.at = getelementptr i8, ptr %probes, i64 %ahead.byte
%ahead.offset = load i64, ptr %ahead.at
%ahead.codes = getelementptr i8, ptr %data, i64 %ahead.offset
"""
        + "".join(prefetch(f"ahead{line}", "%ahead.codes", 64 * line) for line in range(_LINES))
        + f"""%near = add i64 %p, {NEAR}
%near.p = call i64 @llvm.smin.i64(i64 %near, i64 %last)
%near.byte = mul i64 %near.p, {PROBE_BYTES}
%near.at = getelementptr i8, ptr %probes, i64 %near.byte
%near.offset = load i64, ptr %near.at
%near.codes = getelementptr i8, ptr %data, i64 %near.offset
%near.size.at = getelementptr i64, ptr %near.at, i64 1
%near.size = load i64, ptr %near.size.at
%near.bytes = mul i64 %near.size, {CODE_BYTES}
%near.end = call i64 @llvm.umin.i64(i64 %near.bytes, i64 {CODES_AHEAD * CODE_BYTES})
"""
        + loop("line", 64 * _LINES, "%near.end", 64, prefetch("line", "%near.codes", "%line"))
    )


def _search(scan: str) -> str:
    """IR of @search: list after list, then what still waits, then what is ready.

    A code passes where previous budget < sum of levels <= budget. That is one unsigned comparison:
    sum - skip <= width, with skip = previous budget + 1 and width = budget - skip.
    """
    numbers = "double %sum, double %code_floor.f, double %unit.f"
    probe = f"""{_ask()}
%byte = mul i64 %p, {PROBE_BYTES}
%offset.at = getelementptr i8, ptr %probes, i64 %byte
%offset = load i64, ptr %offset.at
%size.at = getelementptr i64, ptr %offset.at, i64 1
%size = load i64, ptr %size.at
%room.at = getelementptr i64, ptr %offset.at, i64 2
%room = load i64, ptr %room.at
%sum.at = getelementptr i64, ptr %offset.at, i64 3
%sum.f = load float, ptr %sum.at
%sum = fpext float %sum.f to double
%budget = call i64 @budget(double %prediction_limit.f, {numbers})
%before = call i64 @budget(double %previous_limit.f, {numbers})
%visited = fcmp ole double %sum, %previous_cell_limit.f
%previous = select i1 %visited, i64 %before, i64 -1
%skip = add i64 %previous, 1
%width = sub i64 %budget, %skip
%skip.32 = trunc i64 %skip to i32
%width.32 = trunc i64 %width to i32
%codes = getelementptr i8, ptr %data, i64 %offset
%codes.bytes = mul i64 %room, {CODE_BYTES}
%ids = getelementptr i8, ptr %codes, i64 %codes.bytes
%begin = load i64, ptr %begin.at
store i64 0, ptr %begin.at
%any = icmp sge i64 %width, 0
"""
    return (
        f"define void @search(ptr %job) {SMALL} {{\n%begin.at = alloca i64\n"
        + SEARCH.read("probes", "probe", "position", "end", "data", "levels", "unit", "code_floor")
        + SEARCH.read("prediction_limit", "previous_cell_limit", "previous_limit", "waiting")
        + addresses(SEARCH, "n_waiting", "full", "n_scanned")
        + doubles("unit", "code_floor", "prediction_limit", "previous_cell_limit")
        + doubles("previous_limit")
        + _finish("stopped")
        + "%last = sub i64 %end, 1\nstore i64 %position, ptr %begin.at\n"
        + loop(
            "p",
            "%probe",
            "%end",
            1,
            probe + when("list", "%any", scan + add("n_scanned", "%size", "scanned")),
        )
        + "store i64 %end, ptr %probe.at\nstore i64 0, ptr %position.at\n"
        + _finish("waited")
        + _finish("readied")
        + "ret void\n}\n"
    )
