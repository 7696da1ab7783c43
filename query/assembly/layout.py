"""What the scan routine and its callers agree on: instruction sets, sizes, the fields of a job."""

from dataclasses import dataclass

from indexer.ir import JobFields

# Positions a lane walks in one block: 33 cache lines. With a power of two the stretches of all
# lanes fall into the same sets of the cache, and the transpose takes 3 times as long.
STRETCH = 2112
# Positions whose keys are made at once.
STEP = 16
# Windows are bounded that many positions behind: a multiple of STEP, a window and GUARD.
LAG = 96
# Positions a block is read: a stretch and the rest of its last window.
POSITIONS = STRETCH + LAG
# Positions that form one key.
GROUP_SIZES = (1, 2, 3, 4)
# Keys are made GUARD positions behind the digits.
GUARD = max(GROUP_SIZES) - 1
# Rows of a plane, a ring: position p is row (p + GUARD) % RING. It holds what the windows of a step
# reach, no more: four planes fit into the first cache.
RING = LAG + STEP
MAX_KINDS = 4
# Rows of a plane in memory. The first of the ring are repeated behind its last, so that those of a
# step are read in one stretch.
MIRROR = STEP
PLANE_ROWS = RING + MIRROR

# The same of scans of many tables together. More positions are bounded at once, because a table
# reads the same rows again for other positions, then from the first cache; a multiple of STEP that
# divides POSITIONS. All planes and two blocks of digits fit into the second cache.
SHARED_TILE = 96
SHARED_RING = LAG + SHARED_TILE
SHARED_ROWS = SHARED_RING + MIRROR
MAX_SHARED = 32


@dataclass(frozen=True)
class InstructionSet:
    """A way to look up `lanes` bytes at a time in tables of `entries` bytes.

    features are LLVM's names for what the processor must have; unroll is how many vectors share
    each load of a table: as many sums as there are registers for; it divides STEP.
    """

    name: str
    lanes: int
    entries: int
    features: tuple[str, ...]
    lookup: str
    unroll: int = 8


PLAIN = InstructionSet("plain", 0, 0, (), "")

# Best first. A processor of another family lacks the features, so the order is all there is to it.
INSTRUCTION_SETS = (
    InstructionSet(
        "avx512vbmi",
        64,
        64,
        ("avx512f", "avx512bw", "avx512vl", "avx512vbmi"),
        "llvm.x86.avx512.permvar.qi.512",
        unroll=16,
    ),
    InstructionSet(
        "avx512bw",
        64,
        16,
        ("avx512f", "avx512bw", "avx512vl"),
        "llvm.x86.avx512.pshuf.b.512",
        unroll=16,
    ),
    InstructionSet("avx2", 32, 16, ("avx2",), "llvm.x86.avx2.pshuf.b"),
    InstructionSet("ssse3", 16, 16, ("ssse3",), "llvm.x86.ssse3.pshuf.b.128"),
    InstructionSet("neon", 16, 16, ("neon",), "llvm.aarch64.neon.tbl1.v16i8"),
    PLAIN,
)

# The routine's argument is one int64 array of these fields; pointers are addresses.
JOB = JobFields(
    (
        "digits",  # uint8[n], ASCII
        "position",  # in, out: every start below is done
        "step",  # in, out: where in the block at `position` to go on
        "vector_end",  # starts from here on are left to the plain loop
        "end",  # starts in [position, end) are scanned
        "letters",  # uint8[n_letters, lanes], 64-byte aligned: levels by digit
        "kinds",  # int64[n_kinds, 4]: byte offsets into letters of the terms of a key
        "n_kinds",
        "group_size",  # terms of a key, 1 to 4
        "planes",  # uint8[MAX_KINDS, PLANE_ROWS, lanes], 64-byte aligned: work space
        "groups",  # int64[n_groups, 2]: byte offsets of a group's plane, and along it
        "tables",  # uint8[n_groups, lanes]: the bounds by key, 64-byte aligned
        "n_first",  # groups added before the first test
        "n_groups",
        "threshold",  # the largest sum of bounds, 0 to 254, that a window within the limit can have
        "costs",  # int32[84, 16]
        "limit",  # distances up to here are stored
        "found",  # int64[capacity, 2]: start, distance
        "capacity",
        "count",  # out: rows of found
    ),
    {
        "digits",
        "letters",
        "kinds",
        "planes",
        "groups",
        "tables",
        "costs",
        "found",
    },
)

# The argument of the routine that scans for many tables at once. Its planes are keyed by one
# position, or sums of two other planes; every question is a JOB, of which what bounds and scores
# windows is used.
SHARED_JOB = JobFields(
    (
        "digits",  # uint8[n], ASCII
        "position",  # in, out: every start below is done
        "step",  # in, out: where in the block at `position` to go on
        "vector_end",  # starts in [position, vector_end) are scanned: a block at least, or none
        "letters",  # uint8[n_letters, lanes], 64-byte aligned: levels by digit
        "kinds",  # int64[n_kinds, 4]: byte offsets into letters; the first of each counts
        "n_kinds",
        "planes",  # uint8[n_kinds + n_sums, SHARED_ROWS, lanes], 64-byte aligned: work space
        "sums",  # int64[n_sums, 2]: byte offsets of what is added; see planes.add_planes
        "n_sums",
        "questions",  # int64[n_questions]: addresses of JOBs with the same planes
        "n_questions",
    ),
    {"digits", "letters", "kinds", "planes", "sums", "questions"},
)
