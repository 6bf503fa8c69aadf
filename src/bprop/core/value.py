"""`Array`: an immutable NumPy-style array. Interpreters subclass it to carry tangents, graphs or batches."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import dtype as dtypes
from .error import ArgumentError, EscapedError, ShapeError, TracedValueError
from .function import FUNCTIONS, apply_function, apply_ufunc
from .shape import size_of

if TYPE_CHECKING:
    from .interpreter import Interpreter


class Spec(NamedTuple):
    """Shape and dtype of an array that need not exist.

    >>> import numpy as np
    >>> from bprop.core.value import Spec
    >>> print(Spec((2, 3), np.dtype("float32")))
    float32[2,3]
    """

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)


class Array:
    """An immutable array on which every op of bprop works, with NumPy's operators and Array API names.

    ``data`` is the NumPy array behind it (plain arrays only). Make one with `asarray`, which copies.

    >>> import bprop
    >>> x = bprop.asarray([1.0, 2.0, 3.0])
    >>> x * 2 + 1
    Array([3., 5., 7.])
    >>> (x @ x).item()
    14.0
    """

    __slots__ = ("__weakref__", "data")
    __hash__ = None  # type: ignore[assignment]  # == is elementwise, as in NumPy
    data: NDArray[Any]

    def __init__(self, data: NDArray[Any]) -> None:
        self.data = data if type(data) is np.ndarray else np.asarray(data)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent of each axis."""
        return self.data.shape

    @property
    def dtype(self) -> "np.dtype[Any]":
        """NumPy dtype of the entries."""
        return self.data.dtype

    @property
    def spec(self) -> Spec:
        """Shape and dtype together."""
        return Spec(self.shape, self.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of entries."""
        return size_of(self.shape)

    def concrete(self) -> NDArray[Any] | None:
        """Return the numbers if they are known (also under differentiation), else ``None``. For looking only."""
        return self.data

    def numbers(self, what: str) -> NDArray[Any]:
        """Return the numbers for use outside bprop, or raise where that would cut a derivative silently."""
        return self.data

    # --- leaving bprop ---
    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        data = self.numbers("numpy.asarray")
        if copy or (dtype is not None and data.dtype != dtype):
            return np.array(data, dtype=dtype)
        view = data.view()
        view.flags.writeable = False
        return view

    def numpy(self) -> NDArray[Any]:
        """Return a read-only NumPy view of the numbers."""
        return self.__array__()

    def __dlpack__(self, **options: Any) -> Any:
        self.numbers("__dlpack__")
        options["copy"] = True  # DLPack cannot say read-only to every consumer, and arrays here are immutable
        options.setdefault("max_version", (1, 0))
        return np.ascontiguousarray(self.data).__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def item(self) -> Any:
        """Return the only entry as a Python number."""
        data = self.numbers(".item()")
        if data.size != 1:
            raise ShapeError(f"item: an array of shape {self.shape} has {data.size} entries, not one")
        return data.item()

    def tolist(self) -> Any:
        """Return the numbers as nested Python lists."""
        return self.numbers(".tolist()").tolist()

    def __float__(self) -> float:
        return float(self._one("float()"))

    def __int__(self) -> int:
        return int(self._one("int()"))

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise ArgumentError(f"an array of dtype {self.dtype} is no index: only integers are")
        return int(self._one("index()"))

    def __bool__(self) -> bool:
        return bool(self._one("bool()"))

    def _one(self, what: str) -> Any:
        data = self.numbers(what)
        if data.size != 1:
            raise ShapeError(f"{what}: an array of shape {self.shape} has {data.size} entries, not one")
        return data.item()

    def __repr__(self) -> str:
        data = self.concrete()
        if data is None:
            return f"<{type(self).__name__} {self.spec}>"
        body = np.array2string(data, separator=", ", prefix="Array(")
        kind = "" if data.dtype in (np.float64, np.int64, np.bool_) and data.size else f", dtype={data.dtype}"
        return f"Array({body}{kind})"

    def __format__(self, specification: str) -> str:
        if not specification:
            return str(self)
        return format(self._one("format()"), specification)

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("len: an array of shape () has no axes")
        return self.shape[0]

    def __iter__(self) -> "Iterator[Array]":
        return (self[position] for position in range(len(self)))

    def __copy__(self) -> "Array":
        return self

    def __deepcopy__(self, memo: Any) -> "Array":
        return self

    def __reduce__(self) -> Any:
        raise ArgumentError("bprop arrays are not pickled: save them with bprop.train or as safetensors")

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
        return _call("matmul", self, other)

    def __rmatmul__(self, other: Any) -> "Array":
        return _call("matmul", other, self)

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
        return _call("equal", self, other)

    def __ne__(self, other: object) -> "Array":  # type: ignore[override]  # elementwise, as in NumPy
        return _call("not_equal", self, other)

    def __getitem__(self, index: Any) -> "Array":
        return _call("getitem", self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise ArgumentError(
            "bprop arrays are immutable: x[index] = value would change numbers that a gradient still needs; "
            "write x = x.at[index].set(value), and x.at[index].add(value) for +="
        )

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
        """The real part: the array itself, since all arrays are real."""
        return _call("real", self)

    @property
    def imag(self) -> "Array":
        """The imaginary part: zeros."""
        return _call("imag", self)

    def conj(self) -> "Array":
        """Return the complex conjugate: the array itself."""
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

    def sort(self, axis: int = -1, *, descending: bool = False, stable: bool = True) -> "Array":
        """Return a sorted copy; arrays are immutable."""
        return _call("sort", self, axis=axis, descending=descending, stable=stable)

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

    def repeat(self, repeats: Any, axis: int | None = None) -> "Array":
        """Repeat every entry."""
        return _call("repeat", self, repeats, axis)

    def take(self, indices: Any, axis: int | None = None) -> "Array":
        """Return the entries at ``indices`` along ``axis``."""
        return _call("take", self, indices, axis)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> "Array":
        """Return a diagonal of the matrices along two axes."""
        return _call("diagonal", self, offset, axis1, axis2)

    def copy(self) -> "Array":
        """Return the array itself: it never changes."""
        return self

    @property
    def at(self) -> Any:
        """Write entries into a copy: ``x.at[index].set(v)``, ``.add(v)``, ``.multiply(v)``."""
        return _call("at", self)

    # --- NumPy code, unchanged ---
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return apply_ufunc(ufunc, method, inputs, options)

    def __array_function__(self, func: Any, types: Any, args: Any, options: Any) -> Any:
        return apply_function(func, args, options)


class Wrapped(Array):
    """An array that belongs to an interpreter: ``value`` is what it is one level below."""

    __slots__ = ("owner", "value")
    owner: "Interpreter"
    value: Array

    def __init__(self, owner: "Interpreter", value: Array) -> None:
        self.owner = owner
        self.value = value

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> "np.dtype[Any]":
        return self.value.dtype

    @property
    def data(self) -> NDArray[Any]:  # type: ignore[override]  # plain arrays only: here the numbers would be a constant
        return self.numbers(".data")

    def concrete(self) -> NDArray[Any] | None:
        return self.value.concrete()

    def numbers(self, what: str) -> NDArray[Any]:
        raise TracedValueError(
            f"{what} of {self.spec} inside {self.owner.name}: the number would become a constant and its derivative "
            f"would be lost without a word; compute with bprop (or NumPy) functions, or cut the derivative on "
            f"purpose with bprop.stop_gradient and return the value"
        )

    def __bool__(self) -> bool:
        return bool(self.value)


def _call(name: str, *args: Any, **options: Any) -> Any:
    return FUNCTIONS[name](*args, **options)


def asarray(obj: Any, /, *, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
    """Return ``obj`` (numbers, nested sequences, a NumPy array, anything with DLPack) as an `Array`.

    A NumPy array is copied, since it could be changed under a gradient that needs it; ``copy=False`` shares it.
    Raises `DTypeError` for complex, object and string data.

    **Source:** Python Array API standard 2024.12, ``asarray``.

    >>> import bprop, numpy as np
    >>> a = np.ones(2); x = bprop.asarray(a); a[0] = 5; x
    Array([1., 1.])
    """
    if isinstance(obj, Array):
        return obj if dtype is None or obj.dtype == dtype else _call("astype", obj, dtype)
    if isinstance(obj, list | tuple) and _holds_array(obj):
        raise ArgumentError(
            "asarray: a list of bprop arrays would lose their derivatives: write bprop.stack(arrays), or "
            "bprop.concat(arrays) to put them one after the other"
        )
    if not isinstance(obj, np.ndarray) and hasattr(obj, "__dlpack__") and not hasattr(obj, "__array__"):
        obj = np.from_dlpack(obj)
    try:
        data = np.asarray(obj)
    except ValueError as error:
        raise ShapeError(f"asarray: {error}") from None
    wanted = dtypes.check(data.dtype if dtype is None else dtype, "asarray")
    if data.dtype.kind not in "biuf":
        dtypes.check(data.dtype, "asarray")
    if not data.dtype.isnative:
        wanted = wanted.newbyteorder("=")
    if data is obj and copy is not False:
        return Array(np.array(data, dtype=wanted))
    return Array(np.asarray(data, dtype=wanted))


def _holds_array(obj: Any) -> bool:
    return isinstance(obj, Wrapped) or (isinstance(obj, list | tuple) and any(_holds_array(one) for one in obj))


def escaped(value: Wrapped, op: str) -> EscapedError:
    """Return the error for a value whose transform has ended, or that another transform cannot see."""
    return EscapedError(
        f"{op}: a value {value.spec} made inside {value.owner.name} was used where that transform cannot see "
        f"it: it has ended, or the function of a custom rule closes over the value; "
        f"return the value from the function, or pass it on as an argument"
    )
