"""Looking at objects without running anybody's code: no property, no ``__getattr__``, no ``__class__`` that is made up.

What is looked at may be a mock, a proxy that has any attribute, or a class whose metaclass answers for it. So an attribute is
what lies in ``__dict__``, in a slot or in a class, a kind is what `type` says, and containers are read by the methods of the
built-in class.
"""

import array
import ctypes
import gc
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache, partial
from pathlib import PurePath
from types import FunctionType, MappingProxyType, MemberDescriptorType, ModuleType
from typing import Any

import numpy as np

UNKNOWN = object()
"""What a name stands for that is not assigned."""
BUFFERS = (bytearray, array.array, memoryview)
"""What holds bytes that can change."""
LOOKED = 1 << 16
"""Bytes of a NumPy array that are compared with every call, at most."""
INSTALLED = {"site-packages", "dist-packages"}
"""Folders of packages that a user does not write."""
_SEQUENCES = (list, tuple, set, frozenset, deque)


def is_a(value: Any, kinds: type | tuple[type, ...]) -> bool:
    """Return what `isinstance` does, of the class that an object really has."""
    return issubclass(type(value), kinds)


def bases(kind: type) -> tuple[type, ...]:
    """Return a class and those that it inherits from, in the order of looking."""
    order: tuple[type, ...] = type.__getattribute__(kind, "__mro__")
    return order


def entries(kind: type) -> Mapping[str, Any]:
    """Return what a class itself declares."""
    declared: Mapping[str, Any] = type.__getattribute__(kind, "__dict__")
    return declared


def behind(proxy: Any) -> Any:
    """Return the mapping that a `types.MappingProxyType` shows."""
    return gc.get_referents(proxy)[0]


def package(owner: Any) -> str:
    """Return the package in which a class, a function or a module was written."""
    if is_a(owner, type):
        name = _MODULE(owner)
    else:
        name = (owner.__globals__ if is_a(owner, FunctionType) else own_dict(owner)).get("__name__")
    return name.partition(".")[0] if type(name) is str else ""


_MODULE = type.__dict__["__module__"].__get__


@lru_cache(1024)
def is_library(name: str) -> bool:
    """Return whether a package belongs to Python, is installed, or is this one: it is no user's."""
    if name in sys.stdlib_module_names or name == __name__.partition(".")[0]:
        return True
    module = sys.modules.get(name)
    file = own_dict(module).get("__file__") if is_a(module, ModuleType) else None
    return type(file) is str and not INSTALLED.isdisjoint(PurePath(file).parts)


def own_dict(value: Any) -> dict[str, Any]:
    """Return the ``__dict__`` in which an object keeps its attributes, as far as it has one."""
    if is_a(value, type):
        return {}
    try:
        attributes = _DICT(id(value), None)  # by its address: ctypes would ask an object what it is
    except AttributeError:
        return {}
    return attributes if is_a(attributes, dict) else {}


_DICT = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p)(
    ("PyObject_GenericGetDict", ctypes.pythonapi)
)


def slots(kind: type) -> dict[str, Callable[[Any], Any]]:
    """Return the slots of a class, by name, each with the function that reads it; it raises `AttributeError` where none is."""
    return {
        name: member.__get__
        for base in reversed(bases(kind))
        if "__slots__" in entries(base)
        for name, member in entries(base).items()
        if type(member) is MemberDescriptorType and not name.startswith("__")
    }


def read(get: Callable[[Any], Any], value: Any) -> Any:
    """Return what a slot holds, or `UNKNOWN`."""
    try:
        return get(value)
    except AttributeError:
        return UNKNOWN


def stored(value: Any) -> dict[str, Any]:
    """Return what the attributes of an object hold, those in slots too.

    >>> from bprop.compile.introspection import stored
    >>> from unittest.mock import MagicMock
    >>> mock = MagicMock()
    >>> mock.rate = 0.1
    >>> mock.anything is None, "anything" in stored(mock), stored(mock)["rate"]
    (False, False, 0.1)
    """
    slotted = {name: read(get, value) for name, get in slots(type(value)).items()}
    return {name: held for name, held in slotted.items() if held is not UNKNOWN} | own_dict(value)


def views(value: Any) -> tuple[Collection[Any], Collection[Any]]:
    """Return the keys and the values of a dict, whatever a subclass of its does, as they are whenever one looks."""
    kind = OrderedDict if is_a(value, OrderedDict) else dict  # which has an order of its own
    return kind.keys(value), kind.values(value)


def members(value: Any) -> list[Any] | None:
    """Return what a container holds in order, but for a dict; ``None`` for what is none.

    A `functools.partial` holds its function and arguments, a `types.MappingProxyType` the mapping behind it.
    """
    if is_a(value, MappingProxyType):
        return [behind(value)]
    for kind in _SEQUENCES:
        if is_a(value, kind):
            return list(kind.__iter__(value))
    if is_a(value, partial):
        return [value.func, value.args, value.keywords]
    return None


def content(value: Any) -> Any:
    """Return the bytes of what holds bytes that can change, or the objects of a NumPy array; ``None`` for what is neither.

    Nor are those of a NumPy array of more than `LOOKED` bytes: to compare them would cost more than a call.
    """
    if is_a(value, np.ndarray):
        if value.dtype.hasobject:
            return value.ravel().tolist()
        return None if value.nbytes > LOOKED else value.tobytes()
    return bytes(memoryview(value)) if is_a(value, BUFFERS) else None


def layout(array: Any) -> tuple[int, tuple[int, ...], tuple[int, ...], Any]:
    """Return where the numbers of a NumPy array lie, and how: its address, shape, strides and dtype."""
    seen = np.ndarray.view(array, np.ndarray)
    return seen.__array_interface__["data"][0], seen.shape, seen.strides, seen.dtype
