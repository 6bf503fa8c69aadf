"""Native functions that the library holds as LLVM text, compiled once per process and never freed.

They are compiled as they are written: LLVM's optimisation passes would take longer than all calls of them.
"""

from functools import cache

from llvmlite import binding


@cache
def prepare() -> None:
    """Initialise LLVM's code generator for this processor."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()


def jit_compile_ir(code: str, *names: str, level: int = 2) -> list[int]:
    """Compile LLVM text; return the addresses of the functions of these names.

    ``level`` is the code generator's: 0 takes a third of the time, for what waits more than it computes.
    """
    prepare()
    module = binding.parse_assembly(code)
    module.verify()
    target = binding.Target.from_default_triple().create_target_machine(opt=level)
    engine = binding.create_mcjit_compiler(module, target)
    engine.finalize_object()
    addresses = [engine.get_function_address(name) for name in names]
    engine.detach()  # never freed: workers of the thread pool may be inside at any time
    return addresses
