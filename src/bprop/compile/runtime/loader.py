"""Machine code in memory: object files, loaded and linked. The symbols that they call are resolved first."""

import ctypes
from collections.abc import Sequence

from llvmlite import binding

from ..ir.status import BARRIER
from ..llvm.ir_text import prepare
from ..llvm.symbol import resolve
from .thread_pool import native_functions


class LoadedCode:
    """Machine code in memory, as long as this object lives."""

    def __init__(self, code: Sequence[bytes], symbols: Sequence[str]) -> None:
        prepare()
        self._code = code
        for name in symbols:
            if name == BARRIER:
                native_functions()
            else:
                resolve(name)
        machine = binding.Target.from_default_triple().create_target_machine()
        self.engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
        for part in code:
            self.engine.add_object_file(binding.ObjectFileRef.from_data(part))
        self.engine.finalize_object()

    def function(self, name: str) -> int:
        """Return the address of a function."""
        address: int = self.engine.get_function_address(name)
        return address

    def set_pointer(self, name: str, value: int) -> None:
        """Set a global variable of the code that holds a pointer."""
        ctypes.c_void_p.from_address(self.engine.get_global_value_address(name)).value = value
