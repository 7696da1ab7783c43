"""Pieces of LLVM IR as text, and the machine code they become.

A routine is written for one argument, a pointer to a *job*: int64 fields, of which some are
addresses. Registers and labels are named after `name`, which must be used once in a function.

LLVM is called directly: to import it and compile takes 0.1 s, where a numba kernel takes 0.4 s to
load from its cache; and there is no cache of code to keep, trust or invalidate.
"""

import ctypes
from collections.abc import Callable, Collection, Sequence
from functools import cache

import llvmlite.binding as llvm


class JobFields:
    """The fields of a job, in order; pointers are those that hold addresses."""

    def __init__(self, fields: Sequence[str], pointers: Collection[str]) -> None:
        self.fields = tuple(fields)
        self.pointers = frozenset(pointers)

    def read(self, *fields: str) -> str:
        """IR that loads fields of the job into registers of the same names."""
        lines = []
        for field in fields:
            kind = "ptr" if field in self.pointers else "i64"
            index = self.fields.index(field)
            lines.append(f"%{field}.at = getelementptr i64, ptr %job, i64 {index}")
            lines.append(f"%{field} = load {kind}, ptr %{field}.at")
        return "\n".join(lines) + "\n"

    def write(self, field: str, value: str, label: str) -> str:
        """IR that stores a register into a field of the job; `label` keeps its name unique."""
        return (
            f"%{label}.{field}.at = getelementptr i64, ptr %job, i64 {self.fields.index(field)}\n"
            f"store i64 {value}, ptr %{label}.{field}.at\n"
        )


def loop(name: str, begin: str | int, end: str | int, step: int, body: str) -> str:
    """IR of `for %name in range(begin, end, step): body`."""
    return f"""br label %{name}.enter
{name}.enter:
br label %{name}.head
{name}.head:
%{name} = phi i64 [{begin}, %{name}.enter], [%{name}.next, %{name}.latch]
%{name}.more = icmp slt i64 %{name}, {end}
br i1 %{name}.more, label %{name}.body, label %{name}.done
{name}.body:
{body}
br label %{name}.latch
{name}.latch:
%{name}.next = add nsw i64 %{name}, {step}
br label %{name}.head
{name}.done:
"""


def when(name: str, condition: str, body: str) -> str:
    """IR of `if condition: body`; the body may return."""
    jump = "" if body.rstrip().endswith("ret void") else f"br label %{name}.done"
    return f"""br i1 {condition}, label %{name}.then, label %{name}.done
{name}.then:
{body}
{jump}
{name}.done:
"""


def shuffle(name: str, lanes: int, a: str, b: str, picks: range | list[int]) -> str:
    """IR of a vector of the picked bytes of %a followed by %b."""
    mask = ", ".join(f"i32 {pick}" for pick in picks)
    vector = f"<{lanes} x i8>"
    return f"%{name} = shufflevector {vector} %{a}, {vector} %{b}, <{len(picks)} x i32> <{mask}>"


@cache
def host_features() -> frozenset[str]:
    """LLVM's names for what this processor has."""
    return frozenset(name for name, on in llvm.get_host_cpu_features().items() if on)


def compile_module(
    text: str, without: Collection[str] = (), *, light: bool = False
) -> tuple[llvm.TargetMachine, llvm.ModuleRef]:
    """This processor less the features in `without`, and IR optimised for it.

    light runs four passes in place of all: half the time, for IR that is written as it shall be.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = dict(llvm.get_host_cpu_features())
    features |= {name: False for name in without if name in features}
    # What is switched off comes last: a flag switches on all that it builds upon.
    flags = ",".join(
        f"{'+' if on else '-'}{name}"
        for name, on in sorted(features.items(), key=lambda item: (not item[1], item[0]))
    )
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=flags, opt=3
    )
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    passes = llvm.create_pass_builder(machine, options)
    if light:
        manager = llvm.create_new_module_pass_manager()
        manager.add_always_inliner_pass()
        manager.add_sroa_pass()
        manager.add_instruction_combine_pass()
        manager.add_simplify_cfg_pass()
    else:
        manager = passes.getModulePassManager()
    manager.run(module, passes)
    return machine, module


class MachineCode:
    """IR compiled for this processor, less the features in `without`.

    The first use compiles (about 0.1 s). Calls release the interpreter's lock, so threads run at
    once; one job belongs to one thread.
    """

    def __init__(self, text: str, without: Collection[str] = (), *, light: bool = False) -> None:
        machine, module = compile_module(text, without, light=light)
        # The engine owns the code: it must live as long as the functions.
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()

    def routine(self, name: str) -> Callable[[int], None]:
        """The function of that name, called with the address of a job; nothing is checked."""
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        return prototype(self._engine.get_function_address(name))
