"""What the namespace can do, as the Array API standard asks: dtypes, devices, capabilities."""

from typing import Any

import numpy as np

from ..core import device as devices
from ..core import dtype as dtypes
from ..core.method import API_VERSIONS
from . import constant
from .data_type import isdtype

__all__ = ["NamespaceInfo", "__array_api_version__", "__array_namespace_info__"]

__array_api_version__ = API_VERSIONS[-1]

_DTYPES = {
    name: np.dtype(getattr(constant, name)) for name in constant.__all__ if isinstance(getattr(constant, name), type)
}
_MAX_DIMENSIONS = 64  # NumPy's


class NamespaceInfo:
    """What ``bprop.__array_namespace_info__()`` gives: answers to the questions of the standard's inspection API.

    **Source:** Python Array API standard 2024.12, ``__array_namespace_info__``.

    >>> import bprop
    >>> info = bprop.__array_namespace_info__()
    >>> info.devices(), info.default_dtypes()["real floating"]
    (['cpu'], dtype('float64'))
    """

    def capabilities(self) -> dict[str, Any]:
        """Return what the standard leaves open: masks as indices, shapes that depend on numbers, how many axes."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": _MAX_DIMENSIONS}

    def default_device(self) -> str:
        """Return the device of arrays that are made without ``device=``."""
        return devices.CPU

    def devices(self) -> list[str]:
        """Return all devices."""
        return [devices.CPU]

    def default_dtypes(self, *, device: str | None = None) -> "dict[str, np.dtype[Any]]":
        """Return the dtypes of arrays that are made without ``dtype=``, by kind."""
        devices.check(device, "default_dtypes")
        return {
            "real floating": dtypes.DEFAULT,
            "complex floating": dtypes.COMPLEX,
            "integral": dtypes.INT,
            "indexing": dtypes.INT,
        }

    def dtypes(
        self, *, device: str | None = None, kind: "str | tuple[str, ...] | None" = None
    ) -> "dict[str, np.dtype[Any]]":
        """Return the dtypes of a kind, or of several (all by default), by name; kinds are those of `isdtype`."""
        devices.check(device, "dtypes")
        return {name: value for name, value in _DTYPES.items() if kind is None or isdtype(value, kind)}


def __array_namespace_info__() -> NamespaceInfo:  # noqa: N807 - the standard's name
    """Return what the namespace can do.

    **Source:** Python Array API standard 2024.12, ``__array_namespace_info__``.

    >>> import bprop
    >>> bprop.__array_namespace_info__().capabilities()["boolean indexing"]
    True
    """
    return NamespaceInfo()
