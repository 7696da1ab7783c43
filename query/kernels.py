"""The compiled scan: instruction sets of this processor, and the routine of each.

LLVM is called directly: to import it and compile takes 0.1 s, where a numba kernel takes 0.4 s to
load from its cache; and there is no cache of code to keep, trust or invalidate.
"""

import ctypes
from functools import cache

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from indexer.errors import UsageError
from query.assembly import assembly
from query.assembly.layout import INSTRUCTION_SETS, InstructionSet

__all__ = ["Kernel", "available", "load_kernel"]


def available() -> tuple[InstructionSet, ...]:
    """The instruction sets of this processor, best first; the plain one is always among them."""
    features = llvm.get_host_cpu_features()
    return tuple(s for s in INSTRUCTION_SETS if all(features.get(f, False) for f in s.features))


class Kernel:
    """The compiled routine of one instruction set.

    The first use compiles (about 0.1 s). Calls release the interpreter's lock, so threads run at
    once; one job belongs to one thread.
    """

    def __init__(self, isa: InstructionSet) -> None:
        self.isa = isa
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        target = llvm.Target.from_default_triple()
        machine = target.create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=_flatten(isa), opt=3
        )
        module = llvm.parse_assembly(assembly(isa))
        module.verify()
        options = llvm.create_pipeline_tuning_options(speed_level=3)
        passes = llvm.create_pass_builder(machine, options)
        passes.getModulePassManager().run(module, passes)
        # The engine owns the code: it must live as long as the function.
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self._scan = prototype(self._engine.get_function_address("scan"))

    def run(self, job: NDArray[np.int64]) -> None:
        """Run one job (int64[len(JOB_FIELDS)]); pointers must be valid, which nothing checks."""
        self._scan(job.ctypes.data)


def _flatten(isa: InstructionSet) -> str:
    """LLVM's feature string: the host's, less what better sets than this one need."""
    features = dict(llvm.get_host_cpu_features())
    better = INSTRUCTION_SETS[: INSTRUCTION_SETS.index(isa)]
    for name in {name for other in better for name in other.features} - {*isa.features}:
        if name in features:
            features[name] = False
    return ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(features.items()))


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
