"""LLVM text is optimised and compiled to an object file, which holds no address of this process."""

import ctypes
import os
import threading
from collections.abc import Sequence
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


class _Compilation:
    """A module on its way to an object file. ``optimise`` and ``emit`` are LLVM's work, all else is prepared."""

    def __init__(self, text: str, target: Target) -> None:
        prepare()
        # the global context would keep types and constants for ever
        self.module = binding.parse_assembly(text, binding.create_context())
        self.module.verify()
        self.machine = binding.Target.from_default_triple().create_target_machine(
            cpu=target.cpu, features=target.features, opt=2
        )
        self.options = binding.create_pipeline_tuning_options(speed_level=2)
        self.builder = binding.create_pass_builder(self.machine, self.options)
        self.passes = self.builder.getModulePassManager()

    def optimise(self) -> None:
        """Run the passes on the module, once."""
        self.passes.run(self.module, self.builder)

    def compile_unlocked(self) -> None:
        """Run the passes and emit the object, without llvmlite's lock, which the caller holds."""
        error = ctypes.c_char_p()
        _unlocked("LLVMPY_RunNewModulePassManager")(self.passes, self.module, self.builder)
        self.buffer = _unlocked("LLVMPY_TargetMachineEmitToMemory")(self.machine, self.module, 1, ctypes.byref(error))

    def close(self) -> None:
        """Free the passes: their `close` frees nothing, since of its two bases the wrong one's `_dispose` is called."""
        NewPassManager._dispose(self.passes)
        self.passes.detach()


def optimised(text: str, target: Target) -> tuple[Any, Any]:
    """Return the optimised module of a text, and LLVM's description of the target."""
    compilation = _Compilation(text, target)
    try:
        compilation.optimise()
    finally:
        compilation.close()
    return compilation.module, compilation.machine


@lru_cache(maxsize=4)
def compiled(texts: tuple[str, ...], target: Target) -> tuple[bytes, ...]:
    """Return the object files of modules given as text, each made by a thread of its own.

    The last few are cached: a step whose slots the first call created is traced twice, and gives the same text.
    """
    if len(texts) == 1 or _LOCK is None or not hasattr(ffi.lib.LLVMPY_GetVersionInfo, "_cfn"):
        return tuple(machine.emit_object(module) for module, machine in (optimised(text, target) for text in texts))
    with _LOCK:  # nobody else calls LLVM, and nobody forks, until all threads are done
        return _compiled_by_threads([_Compilation(text, target) for text in texts])


def _compiled_by_threads(compilations: Sequence[_Compilation]) -> tuple[bytes, ...]:
    """Return the object files of modules, which share nothing: each has a context of LLVM."""
    threads = [threading.Thread(target=x.compile_unlocked, daemon=True) for x in compilations[1:]]
    for thread in threads:
        thread.start()
    try:
        compilations[0].compile_unlocked()
    finally:
        for thread in threads:
            thread.join()
    for compilation in compilations:
        compilation.close()
    return tuple(_bytes_of(compilation.buffer) for compilation in compilations)


def _unlocked(name: str) -> Any:
    """Return a function of LLVM as llvmlite calls it while it holds its lock."""
    return getattr(ffi.lib, name)._cfn


def _bytes_of(buffer: Any) -> bytes:
    """Return what is in a buffer of LLVM, and free that."""
    if not buffer:
        raise RuntimeError("LLVM emitted no object file")
    try:
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)
