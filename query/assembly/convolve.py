"""LLVM IR that adds up the law of a sum of independent costs.

The law is an array of doubles, entry s the weight of the sum s. Adding a pixel whose digits cost
c₁, c₂, … with weights w₁, w₂, … is

    new[s] = w₁ old[s - c₁] + w₂ old[s - c₂] + …

An entry needs only entries at its own place and below it, so going down from the top the new law is
written over the old: in blocks of BLOCK sums, of which each is read whole before it is written. For
the same reason the entries up to some top do not depend on whether the rest is computed.

Example, costs 0 and 2 with weights 1 and 1, from the law [1, 1, 0, 0] of a pixel that costs 0 or 1:
s = 3 becomes 0 + 1, s = 2 becomes 0 + 1, s = 1 becomes 1, s = 0 becomes 1; it is [1, 1, 1, 1].

Products and sums are rounded one by one, in the order of the costs (no multiply-add), so that every
processor, and a loop in NumPy, gets the same bits. All terms are positive: nothing cancels.
"""

from indexer.ir import JobFields, loop

_LANES = 8
_VECTORS = 4
_VECTOR = f"<{_LANES} x double>"
# Sums computed at once: each weight is read once for all of them. A power of two.
BLOCK = _LANES * _VECTORS

# The routine's argument is one int64 array of these fields; pointers are addresses.
CONVOLVE_JOB = JobFields(
    (
        "law",  # in, out: address of float64 entry 0; greatest cost zeros before it, and after it
        # entries up to the greatest of tops and on to the end of its block, 0 where never reached
        "costs",  # int64[…]: the costs of pixel after pixel, in the order they are added
        "weights",  # float64[…]: their weights
        "ends",  # int64[n_pixels]: where in costs the pixel ends
        "tops",  # int64[n_pixels]: the greatest sum to compute when adding it, not descending
        "n_pixels",
    ),
    {"law", "costs", "weights", "ends", "tops"},
)


def _add_cost() -> str:
    """IR that adds the term of cost %j to the sums of one block."""
    text = f"""%cost.at = getelementptr i64, ptr %costs, i64 %j
%cost = load i64, ptr %cost.at
%weight.at = getelementptr double, ptr %weights, i64 %j
%weight = load double, ptr %weight.at
%weight.1 = insertelement {_VECTOR} poison, double %weight, i64 0
%weight.all = shufflevector {_VECTOR} %weight.1, {_VECTOR} poison, <{_LANES} x i32> zeroinitializer
%source = sub i64 %block, %cost
%from = getelementptr double, ptr %law, i64 %source
"""
    for v in range(_VECTORS):
        text += f"""%from{v} = getelementptr double, ptr %from, i64 {v * _LANES}
%old{v} = load {_VECTOR}, ptr %from{v}, align 8
%term{v} = fmul {_VECTOR} %weight.all, %old{v}
%sum{v} = load {_VECTOR}, ptr %sum{v}.at
%more{v} = fadd {_VECTOR} %sum{v}, %term{v}
store {_VECTOR} %more{v}, ptr %sum{v}.at
"""
    return text


def _add_pixel() -> str:
    """IR that adds pixel %i to the law, block by block from its top down."""
    block = "%block = sub i64 %highest, %below\n"
    for v in range(_VECTORS):
        block += f"store {_VECTOR} zeroinitializer, ptr %sum{v}.at\n"
    block += loop("j", "%begin", "%end", 1, _add_cost())
    block += "%to = getelementptr double, ptr %law, i64 %block\n"
    for v in range(_VECTORS):
        block += f"""%new{v} = load {_VECTOR}, ptr %sum{v}.at
%to{v} = getelementptr double, ptr %to, i64 {v * _LANES}
store {_VECTOR} %new{v}, ptr %to{v}, align 8
"""
    return f"""%begin = load i64, ptr %begin.at
%end.at = getelementptr i64, ptr %ends, i64 %i
%end = load i64, ptr %end.at
store i64 %end, ptr %begin.at
%top.at = getelementptr i64, ptr %tops, i64 %i
%top = load i64, ptr %top.at
%highest = and i64 %top, {-BLOCK}
%blocks.end = add i64 %highest, 1
""" + loop("below", 0, "%blocks.end", BLOCK, block)


def convolve_assembly() -> str:
    """The routine @convolve as LLVM IR.

    Optimised for size: unrolling the loop over costs takes 5 ms more to compile and gains nothing.
    """
    return (
        "define void @convolve(ptr %job) optsize {\n%begin.at = alloca i64\n"
        + "".join(f"%sum{v}.at = alloca {_VECTOR}\n" for v in range(_VECTORS))
        + "store i64 0, ptr %begin.at\n"
        + CONVOLVE_JOB.read(*CONVOLVE_JOB.fields)
        + loop("i", 0, "%n_pixels", 1, _add_pixel())
        + "ret void\n}\n"
    )
