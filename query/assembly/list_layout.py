"""What the search of lists and its callers agree on, and the pieces of IR its routines share."""

from indexer.cells import CODE_BYTES, SUBCODES
from indexer.ir import JobFields
from query.assembly.layout import PLAIN, InstructionSet

VNNI = InstructionSet(
    "avx512vnni",
    64,
    64,
    ("avx512f", "avx512bw", "avx512vl", "avx512vbmi", "avx512vnni"),
    "llvm.x86.avx512.permvar.qi.512",
)
# Best first.
LIST_SETS = (VNNI, PLAIN)
# Of every function: a third less to compile, and no slower (nothing here gains by unrolling).
SMALL = "minsize optsize"

ID_BYTES = 8
ENTRY_BYTES = CODE_BYTES + ID_BYTES
ROW_BYTES = 24
PROBE_BYTES = 32
# Levels are 0 to LEVELS: the sum of two fits a byte.
LEVELS = 127
MOST = SUBCODES * LEVELS
# Cells that wait for their row of the directory; at least 256, the cells of one value.
PENDING = 512
# Ids that wait to be read, and windows to be scored: the digits of so many fit the first cache.
WAITING = 128
# Windows scored, and codes compared, at once.
BATCH = 16
# Lists whose first codes are on their way (with 12, lists of 10 codes take 1.4 times as long, with
# 32 lists of 40 take 1.2 times as long), and lists of which all are.
AHEAD = 24
NEAR = 4
# Codes of a long list that are on their way. The processor does not look past a page.
CODES_AHEAD = 1024

FIND = JobFields(
    (
        "values",  # float32[2, n_values + 1]: a group's values in ascending order, then NaN
        "parts",  # int64[2, n_values]: what each adds to the cell
        "n_values",  # of a group, at most 256
        "cell_limit",  # float64: cells with sums up to here …
        "prediction_limit",  # float64: … whose least prediction is up to here …
        "code_floor",  # float64: the least that a code can add
        "above",  # float64: … and with sums above this
        "directory",  # int64[n_values², 3]: size, capacity, offset
        "data_bytes",  # lists end here
        "pending",  # (int32 cell, float32 sum)[PENDING]: work space
        "probes",  # PROBE[capacity]: offset, size, capacity of a list (int64), its sum (float32)
        "capacity",  # at least PENDING more than count
        "next1",  # in, out: where in group 1 to go on; n_values when done
        "count",  # in, out: probes stored
        "n_windows",  # in, out: the sum of their sizes
        "n_damaged",  # in, out: rows of the directory that make no sense
    ),
    {"values", "parts", "directory", "pending", "probes"},
)

SEARCH = JobFields(
    (
        "probes",  # PROBE[…]
        "probe",  # in, out: probes in [probe, end) are to be searched
        "position",  # in, out: where in the first of them to go on
        "end",
        "data",  # uint8[…]: the lists
        "levels",  # uint8[12, 16]: by place in the vectors, nibble; plain: int32[6, 256]
        "unit",  # float64: what a level is worth
        "code_floor",  # float64: a code whose levels are all 0
        "prediction_limit",  # float64
        "previous_cell_limit",  # float64: lists with sums up to here were searched before …
        "previous_limit",  # float64: … up to this prediction
        "digits",  # uint8[≥ n_windows + 83], ASCII
        "n_windows",  # ids below are scored
        "n_stored",  # ids from here on are damage
        "costs",  # int32[84, 16]
        "limit",  # distances up to here are stored
        "waiting",  # ptr[WAITING]: work space, ids to be read
        "n_waiting",  # in, out
        "ready",  # int64[WAITING + BATCH]: work space, starts to be scored
        "n_ready",  # in, out
        "batch",  # in, out: where in both to go on
        "kept",  # in, out: ids that waited and are in `ready` by then
        "emitted",  # in, out: bits of the windows of the batch that are in `found` by then
        "found",  # int64[capacity, 2]: start, distance
        "capacity",  # at least 1
        "count",  # in, out: rows of found
        "full",  # out: 1 where found is full and there is more to store
        "n_scanned",  # in, out: codes of the lists that are done
        "n_scored",  # in, out
        "n_bad",  # in, out: ids that are damage
    ),
    {"probes", "data", "levels", "digits", "costs", "waiting", "ready", "found"},
)


def addresses(job: JobFields, *fields: str) -> str:
    """IR of the addresses of fields that are not read at once: %{field}.at."""
    return "".join(
        f"%{field}.at = getelementptr i64, ptr %job, i64 {job.fields.index(field)}\n"
        for field in fields
    )


def doubles(*fields: str) -> str:
    """IR of float64 fields that were read as integers: %{field}.f."""
    return "".join(f"%{field}.f = bitcast i64 %{field} to double\n" for field in fields)


def add(field: str, value: str, name: str) -> str:
    """IR that adds to the field of a job whose address is in %{field}.at."""
    return f"""%{name}.old = load i64, ptr %{field}.at
%{name}.sum = add i64 %{name}.old, {value}
store i64 %{name}.sum, ptr %{field}.at
"""


def repeat(name: str, test: str, go_on: str, body: str) -> str:
    """IR of `while (test; go_on): body`."""
    return f"""br label %{name}.head
{name}.head:
{test}
br i1 {go_on}, label %{name}.body, label %{name}.done
{name}.body:
{body}
br label %{name}.head
{name}.done:
"""


def each_bit(name: str, mask: str, body: str) -> str:
    """IR that runs the body for each bit set in an i64, lowest first: %{name} is its number."""
    return f"""br label %{name}.enter
{name}.enter:
br label %{name}.head
{name}.head:
%{name}.left = phi i64 [{mask}, %{name}.enter], [%{name}.rest, %{name}.latch]
%{name}.some = icmp ne i64 %{name}.left, 0
br i1 %{name}.some, label %{name}.body, label %{name}.done
{name}.body:
%{name} = call i64 @llvm.cttz.i64(i64 %{name}.left, i1 true)
{body}
br label %{name}.latch
{name}.latch:
%{name}.less = sub i64 %{name}.left, 1
%{name}.rest = and i64 %{name}.left, %{name}.less
br label %{name}.head
{name}.done:
"""


def prefetch(name: str, base: str, offset: str | int) -> str:
    """IR that asks for the cache line at base + offset; any address will do."""
    return f"""%{name}.line = getelementptr i8, ptr {base}, i64 {offset}
call void @llvm.prefetch.p0(ptr %{name}.line, i32 0, i32 3, i32 1)
"""
