"""The methods of `Array`, in the Array API's and NumPy's spelling: each calls a public function.

They take what the methods of NumPy's arrays take, in the same positions: a common call goes to the public function, one with
other options to NumPy's function, which finds its rule.
"""

import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np
from numpy.typing import DTypeLike

from . import device as devices
from .error import ArgumentError, DTypeError
from .operator import Operators, call

if TYPE_CHECKING:
    from .value import Array

API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
"""Versions of the Array API standard whose functions are here; each keeps those of the one before."""
NO_VALUE: Any = np._NoValue
"""What NumPy's options are where nobody gives them."""


class Methods(Operators):
    """What an array does by calling a function of that name, which `bprop.ops` puts into the table of functions."""

    __slots__ = ()

    # --- the Array API's ---
    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        if api_version is not None and api_version not in API_VERSIONS:
            raise ArgumentError(
                f"__array_namespace__: the functions are those of the Array API standard {API_VERSIONS[-1]}, and of "
                f"{', '.join(API_VERSIONS[:-1])}, not of {api_version!r:.60}"
            )
        return sys.modules[__name__.partition(".")[0]]

    @property
    def device(self) -> str:
        """Where the entries are: always ``"cpu"``."""
        return devices.CPU

    def to_device(self, device: str, /, *, stream: Any = None) -> "Array":
        """Return the array itself: there is one device, ``"cpu"``, which has no streams."""
        devices.check(device, "to_device")
        if stream is not None:
            raise ArgumentError(f'to_device: the device "cpu" has no streams, and none like {stream!r:.60}')
        return cast("Array", self)

    @property
    def T(self) -> "Array":
        """The transpose of a matrix (all axes reversed, as in NumPy)."""
        return call("permute_dims", self, None)

    @property
    def mT(self) -> "Array":
        """The transpose of the last two axes."""
        return call("matrix_transpose", self)

    @property
    def real(self) -> "Array":
        """The real part, of a real array the array itself."""
        return call("real", self)

    @property
    def imag(self) -> "Array":
        """The imaginary part, of a real array zeros."""
        return call("imag", self)

    def conj(self) -> "Array":
        """Return the complex conjugate, of a real array the array itself."""
        return call("conj", self)

    def conjugate(self) -> "Array":
        """Return the complex conjugate, of a real array the array itself."""
        return call("conj", self)

    def clip(self, min: Any = None, max: Any = None, out: Any = None, **options: Any) -> "Array":
        """Limit the entries to between ``min`` and ``max``."""
        if out is not None or options:
            return np.clip(self, min, max, out=out, **options)  # type: ignore[call-overload]
        return call("clip", self, min, max)

    def round(self, decimals: int = 0, out: Any = None) -> "Array":
        """Round to ``decimals`` places after the point, halves to even."""
        return call("around", self, decimals) if out is None else _as_numpy(np.round, self, decimals, out)

    def sum(
        self, axis: Any = None, dtype: DTypeLike | None = None, out: Any = None, keepdims: bool = False,
        initial: Any = NO_VALUE, where: Any = NO_VALUE,
    ) -> "Array":  # fmt: skip
        """Sum over ``axis`` (all axes by default)."""
        if out is not None or initial is not NO_VALUE or where is not NO_VALUE:
            return _as_numpy(np.sum, self, axis, dtype, out, keepdims, initial, where)
        return call("sum", self, axis=axis, keepdims=keepdims, dtype=dtype)

    def prod(
        self, axis: Any = None, dtype: DTypeLike | None = None, out: Any = None, keepdims: bool = False,
        initial: Any = NO_VALUE, where: Any = NO_VALUE,
    ) -> "Array":  # fmt: skip
        """Product over ``axis``."""
        if out is not None or initial is not NO_VALUE or where is not NO_VALUE:
            return _as_numpy(np.prod, self, axis, dtype, out, keepdims, initial, where)
        return call("prod", self, axis=axis, keepdims=keepdims, dtype=dtype)

    def mean(
        self, axis: Any = None, dtype: DTypeLike | None = None, out: Any = None, keepdims: bool = False, *,
        where: Any = NO_VALUE,
    ) -> "Array":  # fmt: skip
        """Mean over ``axis``."""
        if dtype is not None or out is not None or where is not NO_VALUE:
            return _as_numpy(np.mean, self, axis, dtype, out, keepdims, where=where)
        return call("mean", self, axis=axis, keepdims=keepdims)

    def var(
        self, axis: Any = None, dtype: DTypeLike | None = None, out: Any = None, ddof: float = 0, keepdims: bool = False, *,
        where: Any = NO_VALUE, mean: Any = NO_VALUE, correction: Any = NO_VALUE,
    ) -> "Array":  # fmt: skip
        """Variance over ``axis``; the sum of squares is divided by n - ``ddof``."""
        if dtype is out is None and where is mean is correction is NO_VALUE:
            return call("var", self, axis=axis, correction=ddof, keepdims=keepdims)
        return _as_numpy(np.var, self, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction)

    def std(
        self, axis: Any = None, dtype: DTypeLike | None = None, out: Any = None, ddof: float = 0, keepdims: bool = False, *,
        where: Any = NO_VALUE, mean: Any = NO_VALUE, correction: Any = NO_VALUE,
    ) -> "Array":  # fmt: skip
        """Standard deviation over ``axis``, with ``ddof`` as in `var`."""
        if dtype is out is None and where is mean is correction is NO_VALUE:
            return call("std", self, axis=axis, correction=ddof, keepdims=keepdims)
        return _as_numpy(np.std, self, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction)

    def max(
        self, axis: Any = None, out: Any = None, keepdims: bool = False, initial: Any = NO_VALUE, where: Any = NO_VALUE
    ) -> "Array":
        """Maximum over ``axis``."""
        if out is not None or initial is not NO_VALUE or where is not NO_VALUE:
            return _as_numpy(np.max, self, axis, out, keepdims, initial, where)
        return call("max", self, axis=axis, keepdims=keepdims)

    def min(
        self, axis: Any = None, out: Any = None, keepdims: bool = False, initial: Any = NO_VALUE, where: Any = NO_VALUE
    ) -> "Array":
        """Minimum over ``axis``."""
        if out is not None or initial is not NO_VALUE or where is not NO_VALUE:
            return _as_numpy(np.min, self, axis, out, keepdims, initial, where)
        return call("min", self, axis=axis, keepdims=keepdims)

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = NO_VALUE) -> "Array":
        """Whether an entry along ``axis`` is true."""
        if out is not None or where is not NO_VALUE:
            return _as_numpy(np.any, self, axis, out, keepdims, where=where)
        return call("any", self, axis=axis, keepdims=keepdims)

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = NO_VALUE) -> "Array":
        """Whether every entry along ``axis`` is true."""
        if out is not None or where is not NO_VALUE:
            return _as_numpy(np.all, self, axis, out, keepdims, where=where)
        return call("all", self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, out: Any = None, *, keepdims: bool = False) -> "Array":
        """Index of the first largest entry along ``axis``."""
        if out is not None:
            return _as_numpy(np.argmax, self, axis, out, keepdims=keepdims)
        return call("argmax", self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, out: Any = None, *, keepdims: bool = False) -> "Array":
        """Index of the first smallest entry along ``axis``."""
        if out is not None:
            return _as_numpy(np.argmin, self, axis, out, keepdims=keepdims)
        return call("argmin", self, axis=axis, keepdims=keepdims)

    def cumsum(self, axis: int | None = None, dtype: DTypeLike | None = None, out: Any = None) -> "Array":
        """Cumulative sum along ``axis`` (of all entries in order by default)."""
        return _as_numpy(np.cumsum, self, axis, dtype, out)

    def cumprod(self, axis: int | None = None, dtype: DTypeLike | None = None, out: Any = None) -> "Array":
        """Cumulative product along ``axis`` (of all entries in order by default)."""
        return _as_numpy(np.cumprod, self, axis, dtype, out)

    def sort(self, *args: Any, **options: Any) -> None:
        """Refuse: NumPy's sorts in place, and what this one returned would be dropped without a word."""
        raise ArgumentError("sort: x.sort() would sort in place, and arrays never change: write x = numpy.sort(x)")

    def argsort(
        self,
        axis: Any = -1,
        kind: Any = None,
        order: Any = None,
        *,
        stable: bool | None = None,
        descending: bool = False,
    ) -> "Array":
        """Indices that sort along ``axis``."""
        if axis is None or kind is not None or order is not None:
            y = _as_numpy(np.argsort, self, axis, kind, order, stable=stable)
            return call("flip", y, axis=-1 if axis is None else axis) if descending else y
        return call("argsort", self, axis=axis, descending=descending, stable=stable is not False)

    def nonzero(self) -> "tuple[Array, ...]":
        """Indices of the entries that are not 0, one array for each axis."""
        return call("nonzero", self)

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> "Array":
        """Return the same entries in another shape; one size may be -1."""
        sizes = shape[0] if len(shape) == 1 else shape
        return call("reshape", self, sizes) if order == "C" else _as_numpy(np.reshape, self, sizes, order)

    def transpose(self, *axes: Any) -> "Array":
        """Permute the axes, as NumPy's method does."""
        order = axes[0] if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], tuple | list)) else axes
        return call("permute_dims", self, order or (None if self.ndim else ()))  # type: ignore[attr-defined]

    def astype(
        self, dtype: DTypeLike, order: str = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
    ) -> "Array":
        """Convert to ``dtype``; ``order``, ``subok`` and ``copy`` make no difference for arrays that never change.

        Raises `DTypeError` where the rule ``casting`` does not allow it.
        """
        if casting != "unsafe" and not np.can_cast(self.dtype, dtype, casting):  # type: ignore[attr-defined]
            raise DTypeError(
                f"astype: {self.dtype} does not become {np.dtype(dtype)} by the rule {casting!r}: use casting='unsafe'"  # type: ignore[attr-defined]
            )
        return call("astype", self, dtype, copy=copy)

    def squeeze(self, axis: Any = None) -> "Array":
        """Drop axes of size 1."""
        return call("squeeze", self, axis)

    def ravel(self, order: str = "C") -> "Array":
        """Return the entries along one axis, in row-major order (``"C"``) or with the first index fastest (``"F"``)."""
        return call("ravel", self) if order == "C" else _as_numpy(np.ravel, self, order)

    def flatten(self, order: str = "C") -> "Array":
        """Return what `ravel` does."""
        return self.ravel(order)

    def swapaxes(self, axis1: int, axis2: int) -> "Array":
        """Exchange two axes."""
        return call("swapaxes", self, axis1, axis2)

    def dot(self, b: Any, out: Any = None) -> "Array":
        """Return the product of two vectors, of matrices, or of the last axis with the second last, as `numpy.dot`."""
        return call("dot", self, b) if out is None else _as_numpy(np.dot, self, b, out)

    def repeat(self, repeats: Any, axis: int | None = None) -> "Array":
        """Repeat every entry."""
        return call("repeat", self, repeats, axis)

    def take(self, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> "Array":
        """Return the entries at ``indices`` along ``axis`` (of all entries in order by default)."""
        return _as_numpy(np.take, self, indices, axis, out, mode)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> "Array":
        """Return a diagonal of the matrices along two axes."""
        return call("diagonal", self, offset, axis1, axis2)

    def trace(
        self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: DTypeLike | None = None, out: Any = None
    ) -> "Array":
        """Return the sum of a diagonal of the matrices along two axes."""
        return _as_numpy(np.trace, self, offset, axis1, axis2, dtype, out)

    def compress(self, condition: Any, axis: int | None = None, out: Any = None) -> "Array":
        """Return the entries along ``axis`` (of all in order by default) where ``condition`` holds."""
        return _as_numpy(np.compress, condition, self, axis, out)

    def choose(self, choices: Any, out: Any = None, mode: str = "raise") -> "Array":
        """Return for each entry, an integer, the entry there of the array in ``choices`` that it numbers."""
        return _as_numpy(np.choose, self, choices, out, mode)

    def searchsorted(self, v: Any, side: str = "left", sorter: Any = None) -> "Array":
        """Return where in this sorted array each number of ``v`` would stand."""
        return call("searchsorted", self, v, side=side, sorter=sorter)

    def argpartition(self, kth: Any, axis: int = -1, kind: str = "introselect", order: Any = None) -> "Array":
        """Indices with which the entry ``kth`` in order stands at its place, no larger one before it, no smaller behind."""
        return _as_numpy(np.argpartition, self, kth, axis, kind, order)

    # --- methods of NumPy's arrays that would change an array ---
    def fill(self, value: Any) -> NoReturn:
        """Refuse: arrays never change."""
        raise _never_changes("fill", "x = bprop.full_like(x, value)")

    def put(self, indices: Any, values: Any, mode: str = "raise") -> NoReturn:
        """Refuse: arrays never change."""
        raise _never_changes("put", "x = x.reshape(-1).at[indices].set(values).reshape(x.shape)")

    def resize(self, *shape: Any, refcheck: bool = True) -> NoReturn:
        """Refuse: arrays never change."""
        raise _never_changes("resize", "x = numpy.resize(x, shape)")

    def partition(self, kth: Any, axis: int = -1, kind: str = "introselect", order: Any = None) -> NoReturn:
        """Refuse: arrays never change."""
        raise _never_changes("partition", "x = numpy.partition(x, kth)")

    @property
    def at(self) -> Any:
        """Write entries into a copy: ``x.at[index].set(v)``, ``.add(v)``, ``.multiply(v)``."""
        return call("at", self)


def _as_numpy(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call a function of NumPy, which finds its rule by the array among its arguments."""
    return function(*args, **options)


def _never_changes(name: str, instead: str) -> ArgumentError:
    return ArgumentError(f"{name}: bprop arrays are immutable, so that no gradient loses its numbers: write {instead}")


def call_array(kind: type) -> None:
    """Let Python call the methods that a class defines those of Array, in what it says of wrong arguments."""
    for method in vars(kind).values():
        if inspect.isfunction(method):
            method.__qualname__ = f"Array.{method.__name__}"


call_array(Operators)
call_array(Methods)
