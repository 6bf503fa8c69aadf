"""LLVM text is optimised and compiled to an object file, which holds no address of this process."""

import os
from functools import lru_cache
from typing import Any

from llvmlite import binding
from llvmlite.binding import ffi
from llvmlite.binding.newpassmanagers import NewPassManager

from ..ir.target import Target
from .ir_text import prepare

_LOCK: Any = getattr(ffi.lib, "_lock", None)
"""The lock that llvmlite holds around every call of LLVM. A fork takes it, so that no child gets LLVM in an inconsistent state."""
if _LOCK is not None and hasattr(os, "register_at_fork"):

    def _release() -> None:
        _LOCK.__exit__(None, None, None)

    os.register_at_fork(before=_LOCK.__enter__, after_in_parent=_release, after_in_child=_release)


def version() -> str:
    """Return the versions of LLVM and of its binding, and the system that objects are made for."""
    import llvmlite

    numbers = ".".join(map(str, binding.llvm_version_info))
    return f"llvmlite {llvmlite.__version__} LLVM {numbers} {binding.get_process_triple()}"


def optimised(text: str, target: Target) -> tuple[Any, Any]:
    """Return the optimised module of a text, and LLVM's description of the target."""
    prepare()
    module = binding.parse_assembly(
        text, binding.create_context()
    )  # the global context would keep types and constants for ever
    module.verify()
    llvm_target = binding.Target.from_default_triple().create_target_machine(
        cpu=target.cpu, features=target.features, opt=2
    )
    options = binding.create_pipeline_tuning_options(speed_level=2)
    builder = binding.create_pass_builder(llvm_target, options)
    passes = builder.getModulePassManager()
    try:
        passes.run(module, builder)
    finally:  # `close` frees nothing: of its two bases the wrong one's `_dispose` is called
        NewPassManager._dispose(passes)
        passes.detach()
    return module, llvm_target


@lru_cache(maxsize=4)
def compiled(text: str, target: Target) -> bytes:
    """Return the object file of a module given as text.

    The last few are cached: a step whose slots the first call created is traced twice, and gives the same text.
    """
    module, llvm_target = optimised(text, target)
    code: bytes = llvm_target.emit_object(module)
    return code
