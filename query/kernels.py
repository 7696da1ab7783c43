"""The compiled scan: instruction sets of this processor, and the routine of each."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from indexer.errors import UsageError
from indexer.ir import MachineCode, host_features
from query.assembly import assembly
from query.assembly.layout import INSTRUCTION_SETS, InstructionSet

__all__ = ["Kernel", "available", "load_kernel"]


def available() -> tuple[InstructionSet, ...]:
    """The instruction sets of this processor, best first; the plain one is always among them."""
    return tuple(s for s in INSTRUCTION_SETS if host_features().issuperset(s.features))


def features_without(isa: InstructionSet) -> set[str]:
    """LLVM's names for what better sets than this one need: code for it must not use them."""
    better = INSTRUCTION_SETS[: INSTRUCTION_SETS.index(isa)]
    return {name for other in better for name in other.features} - {*isa.features}


class Kernel:
    """The compiled routine of one instruction set."""

    def __init__(self, isa: InstructionSet) -> None:
        self.isa = isa
        self._code = MachineCode(assembly(isa), features_without(isa))
        self._scan = self._code.routine("scan")

    def run(self, job: NDArray[np.int64]) -> None:
        """Run one job (int64[len(JOB.fields)]); pointers must be valid, which nothing checks."""
        self._scan(job.ctypes.data)


@cache
def load_kernel(name: str | None = None) -> Kernel:
    """The kernel of the named instruction set, or of the best this processor has.

    Raises UsageError for a set that is unknown or that this processor lacks.
    """
    choices = available()
    for isa in choices:
        if name in {None, isa.name}:
            return Kernel(isa)
    names = ", ".join(isa.name for isa in choices)
    raise UsageError(f"instruction set {name} is not one of this processor's: {names}")
