"""Whether Python objects still hold the very objects they held: one native call for a whole model and its optimiser.

Python needs about 30 ns for every attribute that it compares by identity, native code 5. The objects are read through
CPython's own functions; nothing is assumed of how they lie in memory. A table of words says what to compare:

===========  ==========================================================================================
``DICT``     dict, number of entries, then key and value of each, in order
``LIST``     list, number of entries, then each
``CELL``     cell of a closure, its contents (0: not assigned)
``NAME``     dict, key, value (0: not there)
``DEFAULTS`` function, its defaults for parameters and for keywords (0: none)
``OBJECT``   object, its ``__dict__``
``END``
===========  ==========================================================================================
"""

import ctypes
import functools
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir

from .engine import Loaded, compiled
from .host import machine
from .loop import loop, number
from .type import I32, I64, POINTER

END, DICT, LIST, CELL, NAME, DEFAULTS, OBJECT = range(7)
_PLACE = POINTER.as_pointer()
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "PyDict_Size": (I64, [POINTER]),
    "PyDict_Next": (I32, [POINTER, I64.as_pointer(), _PLACE, _PLACE]),
    "PyDict_GetItemWithError": (POINTER, [POINTER, POINTER]),
    "PyList_Size": (I64, [POINTER]),
    "PyList_GetItem": (POINTER, [POINTER, I64]),
    "PyCell_Get": (POINTER, [POINTER]),
    "PyFunction_GetDefaults": (POINTER, [POINTER]),
    "PyFunction_GetKwDefaults": (POINTER, [POINTER]),
    "PyObject_GenericGetDict": (POINTER, [POINTER, POINTER]),
    "Py_DecRef": (ir.VoidType(), [POINTER]),
}


@functools.cache
def same() -> Callable[[int], int]:
    """Return the native function of a table's address: 1 if all is as the table says, else 0. It holds the GIL."""
    for name in _FUNCTIONS:
        binding.add_symbol(name, ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value)
    module = ir.Module("identity")
    _Same(module)
    code = Loaded(compiled(str(module), machine()), tuple(_FUNCTIONS))
    call = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(code.function("same"))
    call.code = code  # type: ignore[attr-defined]  # the code lives as long as what calls it
    return call


class _Same:
    """Emits the function: a loop over the entries of the table, left at the first difference."""

    def __init__(self, module: Any) -> None:
        self.api = {
            name: ir.Function(module, ir.FunctionType(*signature), name) for name, signature in _FUNCTIONS.items()
        }
        function = ir.Function(module, ir.FunctionType(I32, [I64.as_pointer()]), "same")
        self.table = function.args[0]
        self.b = b = ir.IRBuilder(function.append_basic_block("entry"))
        self.place, self.position = b.alloca(I64), b.alloca(I64)
        self.key, self.value = b.alloca(POINTER), b.alloca(POINTER)
        b.store(number(0), self.place)
        head = function.append_basic_block("next")
        b.branch(head)
        b.position_at_end(head)
        end = function.append_basic_block("end")
        choice = b.switch(self.word(), end)
        kinds = {DICT: self.dict, LIST: self.list, CELL: self.cell, NAME: self.name, DEFAULTS: self.defaults}
        for kind, emit in {**kinds, OBJECT: self.object}.items():
            block = function.append_basic_block(emit.__name__)
            choice.add_case(number(kind), block)
            b.position_at_end(block)
            emit()
            b.branch(head)
        b.position_at_end(end)
        b.ret(ir.Constant(I32, 1))

    def word(self) -> Any:
        """Take the next word of the table."""
        b = self.b
        place = b.load(self.place)
        b.store(b.add(place, number(1)), self.place)
        return b.load(b.gep(self.table, [place]))

    def call(self, name: str, *args: Any) -> Any:
        return self.b.call(self.api[name], args)

    def pointer(self) -> Any:
        return self.b.inttoptr(self.word(), POINTER)

    def unless(self, x: Any, expected: Any) -> None:
        """Leave with 0 unless ``x`` is what is expected."""
        b = self.b
        with b.if_then(b.icmp_unsigned("!=", x, expected), likely=False):
            b.ret(ir.Constant(I32, 0))

    def dict(self) -> None:
        b, target, size = self.b, self.pointer(), self.word()
        self.unless(self.call("PyDict_Size", target), size)
        b.store(number(0), self.position)
        with loop(b, number(0), size):
            more = self.call("PyDict_Next", target, self.position, self.key, self.value)
            self.unless(more, ir.Constant(I32, 1))
            self.unless(b.load(self.key), self.pointer())
            self.unless(b.load(self.value), self.pointer())

    def list(self) -> None:
        b, target, size = self.b, self.pointer(), self.word()
        self.unless(self.call("PyList_Size", target), size)
        with loop(b, number(0), size) as i:
            self.unless(self.call("PyList_GetItem", target, i), self.pointer())

    def cell(self) -> None:
        self.owned(self.call("PyCell_Get", self.pointer()))

    def name(self) -> None:
        target = self.pointer()
        self.unless(self.call("PyDict_GetItemWithError", target, self.pointer()), self.pointer())

    def defaults(self) -> None:
        target = self.pointer()
        for name in ("PyFunction_GetDefaults", "PyFunction_GetKwDefaults"):
            self.unless(self.call(name, target), self.pointer())

    def object(self) -> None:
        self.owned(self.call("PyObject_GenericGetDict", self.pointer(), ir.Constant(POINTER, None)))

    def owned(self, found: Any) -> None:
        """Compare a new reference, which is given back."""
        self.call("Py_DecRef", found)
        self.unless(found, self.pointer())
