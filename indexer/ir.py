"""Pieces of LLVM IR as text, and the machine code they become.

A routine is written for one argument, a pointer to a *job*: int64 fields, of which some are
addresses. Registers and labels are named after `name`, which must be used once in a function.

LLVM is called directly: to import it and compile takes 0.1 s, where a numba kernel takes 0.4 s to
load from its cache; and there is no cache of code to keep, trust or invalidate.
"""

import ctypes
import threading
from collections.abc import Callable, Collection, Sequence
from functools import cache, wraps
from typing import ParamSpec, Protocol, TypeVar

import llvmlite.binding as llvm
import numpy as np

from indexer.errors import UsageError

Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")


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


class Job:
    """The fields of a routine's argument, set and read by name.

    words is int64[fields], and address its own: what the routine is called with. Fields that hold
    addresses do not keep their arrays alive: whoever sets them does.
    """

    def __init__(self, layout: JobFields) -> None:
        self._index = {name: i for i, name in enumerate(layout.fields)}
        self.words = np.zeros(len(layout.fields), dtype=np.int64)
        self._doubles = self.words.view(np.float64)
        self.address = self.words.ctypes.data

    def set(self, **fields: int) -> None:
        """Set integers and addresses."""
        for name, value in fields.items():
            self.words[self._index[name]] = value

    def set_doubles(self, **fields: float) -> None:
        """Set fields that the routine reads as float64."""
        for name, value in fields.items():
            self._doubles[self._index[name]] = value

    def get(self, name: str) -> int:
        """An integer."""
        return int(self.words[self._index[name]])


def row(name: str, base: str, index: str, size: int) -> str:
    """IR of the address %name of a row of so many bytes."""
    return f"""%{name}.bytes = mul i64 %{index}, {size}
%{name} = getelementptr i8, ptr %{base}, i64 %{name}.bytes
"""


def load(name: str, base: str, offset: int, kind: str, align: int) -> str:
    """IR that loads %name from a number of bytes after a pointer."""
    return f"""%{name}.at = getelementptr i8, ptr %{base}, i64 {offset}
%{name} = load {kind}, ptr %{name}.at, align {align}
"""


def store(name: str, base: str, offset: int, kind: str, align: int) -> str:
    """IR that stores %name a number of bytes after a pointer."""
    return f"""%{name}.to = getelementptr i8, ptr %{base}, i64 {offset}
store {kind} %{name}, ptr %{name}.to, align {align}
"""


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


class _InstructionSet(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def features(self) -> tuple[str, ...]: ...


Set = TypeVar("Set", bound=_InstructionSet)


def available_sets(sets: Sequence[Set]) -> list[Set]:
    """Those of the instruction sets, best first, that this processor has."""
    return [isa for isa in sets if host_features().issuperset(isa.features)]


def choose_set(sets: Sequence[Set], name: str | None) -> Set:
    """The instruction set of that name, or the best this processor has.

    Raises UsageError for a set that is unknown or that this processor lacks.
    """
    choices = available_sets(sets)
    for isa in choices:
        if name in {None, isa.name}:
            return isa
    names = ", ".join(isa.name for isa in choices)
    raise UsageError(f"instruction set {name} is not one of this processor's: {names}")


def features_without(sets: Sequence[Set], isa: Set) -> set[str]:
    """LLVM's names for what better sets than this one need: code for it must not use them."""
    better = sets[: sets.index(isa)]
    return {name for other in better for name in other.features} - {*isa.features}


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


def once(make: Callable[Arguments, Made]) -> Callable[Arguments, Made]:
    """What `make` gives for its arguments, made once a process and kept.

    functools.cache lets two threads make two, and drops one: machine code would be freed under
    whoever runs it.
    """
    kept: dict[object, Made] = {}
    lock = threading.RLock()

    @wraps(make)
    def first(*arguments: Arguments.args, **named: Arguments.kwargs) -> Made:
        key = arguments, tuple(named.items())
        with lock:
            if key not in kept:
                kept[key] = make(*arguments, **named)
            return kept[key]

    return first


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
