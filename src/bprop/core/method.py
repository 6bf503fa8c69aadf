"""The operators and methods of `Array`, in Python's, the Array API's and NumPy's spelling: each calls a public function."""

import inspect
import sys
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import DTypeLike

from . import device as devices
from .assignment import rewrite
from .error import ArgumentError
from .function import FUNCTIONS

if TYPE_CHECKING:
    from .value import Array

API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
"""Versions of the Array API standard whose functions are here; each keeps those of the one before."""


class Methods:
    """What an array does by calling a function of that name, which `bprop.ops` puts into the table of functions."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # == is elementwise, as in NumPy

    # --- operators ---
    def __add__(self, other: Any) -> "Array":
        return _call("add", self, other)

    def __radd__(self, other: Any) -> "Array":
        return _call("add", other, self)

    def __sub__(self, other: Any) -> "Array":
        return _call("subtract", self, other)

    def __rsub__(self, other: Any) -> "Array":
        return _call("subtract", other, self)

    def __mul__(self, other: Any) -> "Array":
        return _call("multiply", self, other)

    def __rmul__(self, other: Any) -> "Array":
        return _call("multiply", other, self)

    def __truediv__(self, other: Any) -> "Array":
        return _call("divide", self, other)

    def __rtruediv__(self, other: Any) -> "Array":
        return _call("divide", other, self)

    def __floordiv__(self, other: Any) -> "Array":
        return _call("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> "Array":
        return _call("floor_divide", other, self)

    def __mod__(self, other: Any) -> "Array":
        return _call("remainder", self, other)

    def __rmod__(self, other: Any) -> "Array":
        return _call("remainder", other, self)

    def __divmod__(self, other: Any) -> "tuple[Array, Array]":
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> "tuple[Array, Array]":
        return other // self, other % self

    def __pow__(self, other: Any) -> "Array":
        return _call("pow", self, other)

    def __rpow__(self, other: Any) -> "Array":
        return _call("pow", other, self)

    def __matmul__(self, other: Any) -> "Array":
        return _call("matmul" if isinstance(other, Methods) else _product(other), self, other)

    def __rmatmul__(self, other: Any) -> "Array":
        return _call("matmul" if isinstance(other, Methods) else _product(other), other, self)

    def __neg__(self) -> "Array":
        return _call("negative", self)

    def __pos__(self) -> "Array":
        return _call("positive", self)

    def __abs__(self) -> "Array":
        return _call("abs", self)

    def __round__(self, ndigits: int | None = None) -> "Array":
        return _call("around", self, ndigits or 0)

    def __floor__(self) -> "Array":
        return _call("floor", self)

    def __ceil__(self) -> "Array":
        return _call("ceil", self)

    def __trunc__(self) -> "Array":
        return _call("trunc", self)

    def __invert__(self) -> "Array":
        return _call("bitwise_invert", self)

    def __and__(self, other: Any) -> "Array":
        return _call("bitwise_and", self, other)

    def __rand__(self, other: Any) -> "Array":
        return _call("bitwise_and", other, self)

    def __or__(self, other: Any) -> "Array":
        return _call("bitwise_or", self, other)

    def __ror__(self, other: Any) -> "Array":
        return _call("bitwise_or", other, self)

    def __xor__(self, other: Any) -> "Array":
        return _call("bitwise_xor", self, other)

    def __rxor__(self, other: Any) -> "Array":
        return _call("bitwise_xor", other, self)

    def __lshift__(self, other: Any) -> "Array":
        return _call("bitwise_left_shift", self, other)

    def __rlshift__(self, other: Any) -> "Array":
        return _call("bitwise_left_shift", other, self)

    def __rshift__(self, other: Any) -> "Array":
        return _call("bitwise_right_shift", self, other)

    def __rrshift__(self, other: Any) -> "Array":
        return _call("bitwise_right_shift", other, self)

    def __lt__(self, other: Any) -> "Array":
        return _call("less", self, other)

    def __le__(self, other: Any) -> "Array":
        return _call("less_equal", self, other)

    def __gt__(self, other: Any) -> "Array":
        return _call("greater", self, other)

    def __ge__(self, other: Any) -> "Array":
        return _call("greater_equal", self, other)

    def __eq__(self, other: object) -> "Array":  # type: ignore[override]  # elementwise, as in NumPy
        return _call("full_like", self, False, dtype=bool) if other is None else _call("equal", self, other)

    def __ne__(self, other: object) -> "Array":  # type: ignore[override]  # elementwise, as in NumPy
        return _call("full_like", self, True, dtype=bool) if other is None else _call("not_equal", self, other)

    def __getitem__(self, index: Any) -> "Array":
        return _call("getitem", self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise ArgumentError(
            "bprop arrays are immutable: x[index] = value would change numbers that a gradient still needs; "
            + (rewrite() or "write x = x.at[index].set(value), and x.at[index].add(value) for +=")
        )

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

    # --- methods, in the Array API's and NumPy's spelling ---
    @property
    def T(self) -> "Array":
        """The transpose of a matrix (all axes reversed, as in NumPy)."""
        return _call("permute_dims", self, None)

    @property
    def mT(self) -> "Array":
        """The transpose of the last two axes."""
        return _call("matrix_transpose", self)

    @property
    def real(self) -> "Array":
        """The real part, of a real array the array itself."""
        return _call("real", self)

    @property
    def imag(self) -> "Array":
        """The imaginary part, of a real array zeros."""
        return _call("imag", self)

    def conj(self) -> "Array":
        """Return the complex conjugate, of a real array the array itself."""
        return _call("conj", self)

    def conjugate(self) -> "Array":
        """Return the complex conjugate, of a real array the array itself."""
        return _call("conj", self)

    def clip(self, min: Any = None, max: Any = None) -> "Array":
        """Limit the entries to between ``min`` and ``max``."""
        return _call("clip", self, min, max)

    def round(self, decimals: int = 0) -> "Array":
        """Round to ``decimals`` places after the point, halves to even."""
        return _call("around", self, decimals)

    def sum(self, axis: Any = None, keepdims: bool = False, *, dtype: DTypeLike | None = None) -> "Array":
        """Sum over ``axis`` (all axes by default)."""
        return _call("sum", self, axis=axis, keepdims=keepdims, dtype=dtype)

    def prod(self, axis: Any = None, keepdims: bool = False, *, dtype: DTypeLike | None = None) -> "Array":
        """Product over ``axis``."""
        return _call("prod", self, axis=axis, keepdims=keepdims, dtype=dtype)

    def mean(self, axis: Any = None, keepdims: bool = False) -> "Array":
        """Mean over ``axis``."""
        return _call("mean", self, axis=axis, keepdims=keepdims)

    def var(self, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> "Array":
        """Variance over ``axis``."""
        return _call("var", self, axis=axis, correction=correction, keepdims=keepdims)

    def std(self, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> "Array":
        """Standard deviation over ``axis``."""
        return _call("std", self, axis=axis, correction=correction, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> "Array":
        """Maximum over ``axis``."""
        return _call("max", self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> "Array":
        """Minimum over ``axis``."""
        return _call("min", self, axis=axis, keepdims=keepdims)

    def any(self, axis: Any = None, keepdims: bool = False) -> "Array":
        """Whether an entry along ``axis`` is true."""
        return _call("any", self, axis=axis, keepdims=keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> "Array":
        """Whether every entry along ``axis`` is true."""
        return _call("all", self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> "Array":
        """Index of the first largest entry along ``axis``."""
        return _call("argmax", self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> "Array":
        """Index of the first smallest entry along ``axis``."""
        return _call("argmin", self, axis=axis, keepdims=keepdims)

    def cumsum(self, axis: int | None = None, dtype: DTypeLike | None = None) -> "Array":
        """Cumulative sum along ``axis`` (of all entries in order by default)."""
        return _call("cumulative_sum", self.reshape(-1) if axis is None else self, axis=axis or 0, dtype=dtype)

    def cumprod(self, axis: int | None = None, dtype: DTypeLike | None = None) -> "Array":
        """Cumulative product along ``axis`` (of all entries in order by default)."""
        return _call("cumulative_prod", self.reshape(-1) if axis is None else self, axis=axis or 0, dtype=dtype)

    def sort(self, *args: Any, **options: Any) -> None:
        """Refuse: NumPy's sorts in place, and what this one returned would be dropped without a word."""
        raise ArgumentError("sort: x.sort() would sort in place, and arrays never change: write x = numpy.sort(x)")

    def argsort(self, axis: int = -1, *, descending: bool = False, stable: bool = True) -> "Array":
        """Indices that sort along ``axis``."""
        return _call("argsort", self, axis=axis, descending=descending, stable=stable)

    def nonzero(self) -> "tuple[Array, ...]":
        """Indices of the entries that are not 0, one array for each axis."""
        return _call("nonzero", self)

    def reshape(self, *shape: Any) -> "Array":
        """Return the same entries in another shape; one size may be -1."""
        return _call("reshape", self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> "Array":
        """Permute the axes, as NumPy's method does."""
        return _call("permute_dims", self, None if not axes else axes[0] if isinstance(axes[0], tuple) else axes)

    def astype(self, dtype: DTypeLike, copy: bool = True) -> "Array":
        """Convert to ``dtype``."""
        return _call("astype", self, dtype, copy=copy)

    def squeeze(self, axis: Any = None) -> "Array":
        """Drop axes of size 1."""
        return _call("squeeze", self, axis)

    def ravel(self) -> "Array":
        """Return the entries in row-major order along one axis."""
        return _call("ravel", self)

    def flatten(self) -> "Array":
        """Return the entries in row-major order along one axis."""
        return _call("ravel", self)

    def swapaxes(self, axis1: int, axis2: int) -> "Array":
        """Exchange two axes."""
        return _call("swapaxes", self, axis1, axis2)

    def dot(self, b: Any) -> "Array":
        """Return the product of two vectors, of matrices, or of the last axis with the second last, as `numpy.dot`."""
        return _call("dot", self, b)

    def repeat(self, repeats: Any, axis: int | None = None) -> "Array":
        """Repeat every entry."""
        return _call("repeat", self, repeats, axis)

    def take(self, indices: Any, axis: int | None = None) -> "Array":
        """Return the entries at ``indices`` along ``axis``."""
        return _call("take", self, indices, axis)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> "Array":
        """Return a diagonal of the matrices along two axes."""
        return _call("diagonal", self, offset, axis1, axis2)

    @property
    def at(self) -> Any:
        """Write entries into a copy: ``x.at[index].set(v)``, ``.add(v)``, ``.multiply(v)``."""
        return _call("at", self)


def _call(name: str, *args: Any, **options: Any) -> Any:
    return FUNCTIONS[name](*args, **options)


def is_sparse(obj: Any) -> bool:
    """Return whether ``obj`` is a sparse matrix of SciPy."""
    module = sys.modules.get("scipy.sparse")
    return module is not None and bool(module.issparse(obj))


def _product(other: Any) -> str:
    return "sparse.matmul" if is_sparse(other) else "matmul"


def call_array(kind: type) -> None:
    """Let Python call the methods that a class defines those of Array, in what it says of wrong arguments."""
    for method in vars(kind).values():
        if inspect.isfunction(method):
            method.__qualname__ = f"Array.{method.__name__}"


call_array(Methods)
