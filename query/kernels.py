"""The compiled scan: instruction sets of this processor, and the routine of each."""

from indexer.ir import Job, MachineCode, available_sets, choose_set, features_without, once
from query.assembly import assembly, shared_assembly
from query.assembly.layout import INSTRUCTION_SETS, InstructionSet

__all__ = ["Kernel", "available", "load_kernel"]


def available() -> tuple[InstructionSet, ...]:
    """The instruction sets of this processor, best first; the plain one is always among them."""
    return tuple(available_sets(INSTRUCTION_SETS))


class Kernel:
    """The compiled routine of one instruction set."""

    def __init__(self, isa: InstructionSet) -> None:
        self.isa = isa
        self._code = MachineCode(assembly(isa), features_without(INSTRUCTION_SETS, isa))
        self._scan = self._code.routine("scan")

    @property
    def shares(self) -> bool:
        """Whether it can scan for many tables together: sums of keys need tables of 64 entries."""
        return self.isa.entries == 64

    def run(self, job: Job) -> None:
        """Run one job; pointers must be valid, which nothing checks."""
        self._scan(job.address)

    def run_together(self, job: Job) -> None:
        """Run one SHARED_JOB; the first compiles the routine."""
        _shared_code(self.isa).routine("scan_together")(job.address)


@once
def _shared_code(isa: InstructionSet) -> MachineCode:
    return MachineCode(shared_assembly(isa), features_without(INSTRUCTION_SETS, isa))


@once
def _kernel(isa: InstructionSet) -> Kernel:
    return Kernel(isa)


def load_kernel(name: str | None = None) -> Kernel:
    """The kernel of the named instruction set, or of the best this processor has.

    Raises UsageError for a set that is unknown or that this processor lacks.
    """
    return _kernel(choose_set(INSTRUCTION_SETS, name))
