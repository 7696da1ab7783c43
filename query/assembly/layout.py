"""What the scan routine and its callers agree on: instruction sets, sizes, the fields of a job."""

from dataclasses import dataclass

from indexer.ir import JobFields

# Positions a lane walks in one block: 17 cache lines. With a power of two the stretches of all
# lanes fall into the same sets of the cache, and the transpose takes 3 times as long.
STRETCH = 1088
# Positions of a plane: a stretch and the rest of its last window, in whole tiles.
POSITIONS = STRETCH + 96
# Positions made at once. Keys are made GUARD positions behind the digits (a key needs up to 3 more
# of them), so letters keep that many from the tile before, and planes have as many in front.
TILE = 32
GUARD = 3
LETTER_POSITIONS = GUARD + TILE
MAX_LETTERS = 4
MAX_KINDS = 8
# Vectors that share each load of a table.
UNROLL = 8


@dataclass(frozen=True)
class InstructionSet:
    """A way to look up `lanes` bytes at a time in tables of `entries` bytes.

    features are LLVM's names for what the processor must have.
    """

    name: str
    lanes: int
    entries: int
    features: tuple[str, ...]
    lookup: str


PLAIN = InstructionSet("plain", 0, 0, (), "")

# Best first. A processor of another family lacks the features, so the order is all there is to it.
INSTRUCTION_SETS = (
    InstructionSet(
        "avx512vbmi",
        64,
        64,
        ("avx512f", "avx512bw", "avx512vl", "avx512vbmi"),
        "llvm.x86.avx512.permvar.qi.512",
    ),
    InstructionSet(
        "avx512bw",
        64,
        16,
        ("avx512f", "avx512bw", "avx512vl"),
        "llvm.x86.avx512.pshuf.b.512",
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
        "n_letters",
        "levels",  # uint8[MAX_LETTERS, LETTER_POSITIONS, lanes], 64-byte aligned: work space
        "kinds",  # int64[n_kinds, 4]: byte offsets into levels of the terms of a key
        "n_kinds",
        "group_size",  # terms of a key, 1 to 4
        "planes",  # uint8[MAX_KINDS, GUARD + POSITIONS, lanes], 64-byte aligned: work space
        "groups",  # int64[n_groups]: byte offset into planes of each group's first key
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
        "levels",
        "kinds",
        "planes",
        "groups",
        "tables",
        "costs",
        "found",
    },
)
