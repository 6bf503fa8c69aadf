"""Native functions that stand in the library as LLVM text, loaded once per process and never freed.

They are taken as they are written, without LLVM's passes over them, which would take longer than all their calls.
"""

from functools import cache

from llvmlite import binding


@cache
def prepare() -> None:
    """Let LLVM know the processor."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()


def loaded(code: str, *names: str) -> list[int]:
    """Compile a text; return the addresses of its functions of these names."""
    prepare()
    module = binding.parse_assembly(code)
    module.verify()
    target = binding.Target.from_default_triple().create_target_machine(opt=2)
    engine = binding.create_mcjit_compiler(module, target)
    engine.finalize_object()
    addresses = [engine.get_function_address(name) for name in names]
    engine.detach()  # workers may be inside at any time
    return addresses
