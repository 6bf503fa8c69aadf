"""Looking at objects without running anybody's code: no property, no ``__getattr__``, no ``__class__`` that is made up.

What is looked at may be a mock, a proxy that has any attribute, or a class whose metaclass answers for it. So an attribute is
what lies in ``__dict__``, in a slot or in a class, a kind is what `type` says, and containers are read by the methods of the
built-in class.
"""

import array
import ctypes
import gc
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from enum import EnumMeta
from functools import lru_cache, partial
from types import CodeType, MappingProxyType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np

UNKNOWN = object()
"""What a name stands for that is not assigned, or is Python\'s own."""
MUTABLE = (list, set, deque, dict, bytearray, array.array, memoryview)
"""What can be changed in place and is compared by what it holds."""
BUFFERS = (bytearray, array.array, memoryview)
"""Of those, what holds bytes."""
LOOKED = 1 << 16
"""Bytes of a NumPy array that are compared with every call, at most."""
DYNAMIC = {
    "getattr", "hasattr", "vars", "__dict__", "dir", "eval", "exec", "attrgetter", "asdict", "astuple", "deepcopy",
}  # fmt: skip
"""Names by which code may look at any attribute."""
_SEQUENCES = (list, tuple, set, frozenset, deque)


def is_a(value: Any, kinds: type | tuple[type, ...]) -> bool:
    """Return what `isinstance` does, of the class that an object really has."""
    return issubclass(type(value), kinds)


def bases(kind: type) -> tuple[type, ...]:
    """Return a class and those that it inherits from, in the order of looking."""
    found: tuple[type, ...] = type.__getattribute__(kind, "__mro__")
    return found


def entries(kind: type) -> Mapping[str, Any]:
    """Return what a class itself declares."""
    found: Mapping[str, Any] = type.__getattribute__(kind, "__dict__")
    return found


def class_dict(kind: type) -> dict[str, Any]:
    """Return the dict itself behind the ``__dict__`` of a class."""
    found: dict[str, Any] = behind(type.__getattribute__(kind, "__dict__"))
    return found


def behind(proxy: Any) -> Any:
    """Return the mapping that a `types.MappingProxyType` shows."""
    return gc.get_referents(proxy)[0]


def declared(kind: type, name: str) -> Any:
    """Return what a class has under a name, by itself or by inheritance, as it was written; else `UNKNOWN`."""
    for one in bases(kind):
        own = entries(one)
        if name in own:
            return own[name]
    return UNKNOWN


def package(owner: Any) -> str:
    """Return the package that a class, a function or a module belongs to."""
    if is_a(owner, ModuleType):
        name = own_dict(owner).get("__name__")
    elif is_a(owner, type):
        name = entries(owner).get("__module__")
    else:
        name = getattr(owner, "__module__", None)
    return name.partition(".")[0] if type(name) is str else ""


def own_dict(value: Any) -> dict[str, Any]:
    """Return the ``__dict__`` in which an object keeps its attributes, as far as it has one."""
    if is_a(value, type):
        return {}
    try:
        found = _DICT(id(value), None)  # by its address: ctypes would ask an object what it is
    except AttributeError:
        return {}
    return found if is_a(found, dict) else {}


_DICT = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p)(
    ("PyObject_GenericGetDict", ctypes.pythonapi)
)


def slots(kind: type) -> dict[str, Callable[[Any], Any]]:
    """Return the slots of a class, by name, each with the function that reads it; it raises `AttributeError` where none is."""
    return {
        name: member.__get__
        for one in reversed(bases(kind))
        if "__slots__" in entries(one)
        for name, member in entries(one).items()
        if type(member) is MemberDescriptorType and not name.startswith("__")
    }


def read(get: Callable[[Any], Any], value: Any) -> Any:
    """Return what a slot or a class holds, or `UNKNOWN`."""
    try:
        return get(value)
    except AttributeError:
        return UNKNOWN


def stored(value: Any) -> dict[str, Any]:
    """Return what the attributes of an object hold, those in slots too.

    >>> from bprop.compile.frontend.introspection import stored
    >>> from unittest.mock import MagicMock
    >>> mock = MagicMock()
    >>> mock.rate = 0.1
    >>> mock.anything is None, "anything" in stored(mock), stored(mock)["rate"]
    (False, False, 0.1)
    """
    held = {name: read(get, value) for name, get in slots(type(value)).items()}
    return {name: one for name, one in held.items() if one is not UNKNOWN} | own_dict(value)


def items(value: Any) -> list[tuple[Any, Any]]:
    """Return the entries of a dict, whatever a subclass of its does, in their order."""
    return list(zip(*views(value), strict=True))


def views(value: Any) -> tuple[Collection[Any], Collection[Any]]:
    """Return the keys and the values of a dict as they are whenever one looks."""
    kind = OrderedDict if is_a(value, OrderedDict) else dict  # which has an order of its own
    return kind.keys(value), kind.values(value)


def members(value: Any) -> list[Any] | None:
    """Return what a container holds, keys of dicts as well as values; ``None`` for what is none.

    A `functools.partial` holds its function and arguments, a `types.MappingProxyType` the mapping behind it.
    """
    if is_a(value, MappingProxyType):
        return [behind(value)]
    if is_a(value, dict):
        return [one for item in items(value) for one in item]
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
        fixed = not value.flags.writeable and value.base is None
        return None if fixed or value.nbytes > LOOKED else value.tobytes()
    return bytes(memoryview(value)) if is_a(value, BUFFERS) else None


def layout(array: Any) -> tuple[int, tuple[int, ...], tuple[int, ...], Any]:
    """Return where the numbers of a NumPy array lie, and how: its address, shape, strides and dtype."""
    seen = np.ndarray.view(array, np.ndarray)
    return seen.__array_interface__["data"][0], seen.shape, seen.strides, seen.dtype


def wrapped(value: Any) -> Any:
    """Return the function that `functools.wraps` says an object was made from, or `UNKNOWN`."""
    return own_dict(value).get("__wrapped__", UNKNOWN)


def unbound(value: Any) -> Any:
    """Return the function of a method, or of a partial one."""
    while is_a(value, partial | MethodType):  # type: ignore[arg-type]
        value = value.func if is_a(value, partial) else value.__func__
    return value


def is_dynamic(kind: type) -> bool:
    """Return whether a class finds attributes by code of its own, which may read any other."""
    return any(
        name in entries(one) for one in bases(kind) if one is not object for name in ("__getattr__", "__getattribute__")
    )


def enumerated(kind: type, name: str) -> Any:
    """Return the member of an enumeration, or `UNKNOWN`."""
    if not is_a(kind, EnumMeta):
        return UNKNOWN
    return declared(kind, "_member_map_").get(name, UNKNOWN)


@lru_cache(1024)
def names(code: CodeType) -> frozenset[str]:
    """Return the names of globals and attributes that code mentions, that of functions inside too.

    Where it looks attributes up by text, as by ``getattr``, its texts are among them.
    """
    inner = [names(one) for one in code.co_consts if isinstance(one, CodeType)]
    return frozenset(code.co_names).union(() if DYNAMIC.isdisjoint(code.co_names) else texts(code.co_consts), *inner)


def texts(values: Any) -> set[str]:
    """Return the identifiers among values, or in containers among them."""
    found = [one for value in values for one in (value, *(members(value) or ()))]
    return {one for one in found if type(one) is str and one.isidentifier()}
