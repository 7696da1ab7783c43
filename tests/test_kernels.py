import llvmlite.binding as llvm
import pytest

from indexer.errors import UsageError
from indexer.ir import compile_module, features_without
from query.assembly import assembly
from query.assembly.layout import INSTRUCTION_SETS, PLAIN
from query.kernels import available, load_kernel


def test_plain_is_always_there_and_last():
    assert available()[-1] is PLAIN


def test_an_instruction_set_this_processor_lacks_is_refused_by_name():
    with pytest.raises(
        UsageError, match="instruction set avx9000 is not one of this processor's: "
    ):
        load_kernel("avx9000")


TARGETS = {
    "avx512vbmi": (
        "x86_64-linux-gnu",
        "skylake-avx512",
        "+avx512vbmi",
        ("vpermb", "vpaddusb", "%zmm"),
    ),
    "avx512bw": ("x86_64-linux-gnu", "skylake-avx512", "", ("vpshufb", "vpaddusb", "%zmm")),
    "avx2": ("x86_64-linux-gnu", "haswell", "", ("vpshufb", "vpaddusb", "vpavgb", "%ymm")),
    "ssse3": ("x86_64-linux-gnu", "core2", "", ("pshufb", "paddusb", "pavgb", "%xmm")),
    "neon": ("aarch64-linux-gnu", "generic", "+neon", ("tbl\t", "uqadd\t", "urhadd\t")),
    "plain": ("x86_64-linux-gnu", "x86-64", "", ()),
}


@pytest.mark.parametrize("isa", INSTRUCTION_SETS, ids=lambda isa: isa.name)
def test_every_set_compiles_to_its_own_instructions_and_no_better_ones(isa):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    triple, cpu, features, wanted = TARGETS[isa.name]
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=3
    )
    module = llvm.parse_assembly(assembly(isa))
    module.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    text = machine.emit_assembly(module)
    for instruction in wanted:
        assert instruction in text
    if "%zmm" not in wanted:
        assert "%zmm" not in text


def test_a_lower_set_is_compiled_without_the_features_of_the_better_ones():
    for isa in available():
        machine, module = compile_module(assembly(isa), features_without(INSTRUCTION_SETS, isa))
        text = machine.emit_assembly(module)
        if isa.name in {"avx2", "ssse3", "plain"}:
            assert "%zmm" not in text
        if isa.name == "avx2":
            assert "%ymm" in text
