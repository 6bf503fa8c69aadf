"""`Array`: an immutable NumPy-style array. Interpreters subclass it to carry tangents, graphs or batches."""

import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import device as devices
from . import dtype as dtypes
from .conversion_error import UNMASKED, asked, refused_item
from .dispatch import Call, apply_function, apply_ufunc
from .error import (
    ArgumentError,
    EscapedError,
    ShapeError,
    TracedValueError,
    called_by_library,
    changes_in_place,
    sparse_product,
    user_lists,
)
from .foreign_array import lent
from .function import NUMPY
from .method import Methods, call_array
from .object_array import give_entry_methods, hidden, holds_numbers, holds_traced, joined, taken_apart
from .operator import call, is_sparse
from .shape import size_of
from .traced_float import TracedFloat

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


SHARING: "ContextVar[Sharing | None]" = ContextVar("sharing", default=None)
"""What the compilation that is under way takes by reference; `None` outside of one."""


class Array(Methods):
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
    __pandas_priority__ = 5000  # Series has 3000 and DataFrame 4000: they leave the operators to us
    data: NDArray[Any]

    def __init__(self, data: NDArray[Any]) -> None:
        if type(data) is not np.ndarray:
            if not isinstance(data, np.generic):
                refuse_masked("Array", data)
            data = lent("Array", data)
        self.data = data

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

    @property
    def itemsize(self) -> int:
        """Bytes of an entry."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all entries."""
        return self.size * self.dtype.itemsize

    def concrete(self) -> NDArray[Any] | None:
        """Return the numbers if they are known (also under differentiation), else ``None``. For looking only."""
        self._note()
        return self.data

    def _note(self) -> None:
        """Note that the trace of a program depends on the numbers."""
        sharing = SHARING.get()
        if sharing is not None:
            sharing.looked.add(id(self))

    def decides(self) -> bool:
        """Return whether Python may decide on the numbers: they are known, and one for all."""
        return True

    def numbers(self, what: str) -> NDArray[Any]:
        """Return the numbers for use outside bprop, or raise where that would cut a derivative silently."""
        self._note()
        return self.data

    # --- leaving bprop ---
    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        data = self.numbers("numpy.asarray")
        if copy or (dtype is not None and data.dtype != dtype) or (copy is None and changes_in_place()):
            return np.array(data, dtype=dtype)
        view = data.view()
        view.flags.writeable = False
        return view

    def numpy(self) -> NDArray[Any]:
        """Return a read-only NumPy view of the numbers."""
        return Array.__array__(self)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        data = self.numbers("__dlpack__")
        named = {"stream": stream, "max_version": max_version, "dl_device": dl_device}
        options = {name: value for name, value in named.items() if value is not None}
        if copy is not False:
            return np.array(data, order="C").__dlpack__(**options)
        if max_version is None or max_version < (1, 0):
            raise BufferError(
                "__dlpack__: arrays never change, and only DLPack 1.0 can say so of memory that is shared: copy=False needs "
                "max_version=(1, 0) or later"
            )
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return devices.DLPACK_CPU

    def item(self, *index: Any) -> Any:
        """Return the only entry as a Python number, or the one at ``index``: an index, or a position in row-major order."""
        if index:
            position = index[0] if len(index) == 1 else index
            return (self[position] if isinstance(position, tuple) else self.reshape(-1)[position]).item()
        data = self.numbers(".item()")
        if data.size != 1:
            raise ShapeError(f"item: an array of shape {self.shape} has {data.size} entries, not one")
        return data.item()

    def tolist(self) -> Any:
        """Return the numbers as nested Python lists."""
        return self.numbers(".tolist()").tolist()

    def __float__(self) -> float:
        return float(self._real("float()"))

    def __int__(self) -> int:
        return int(self._real("int()"))

    def __complex__(self) -> complex:
        return complex(self._single("complex()"))

    def _real(self, what: str) -> Any:
        dtypes.refuse_dropping(what, self.dtype, dtypes.DEFAULT)
        return self._single(what)

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise ArgumentError(f"an array of dtype {self.dtype} is no index: only integers are")
        return int(self._single("index()"))

    def __bool__(self) -> bool:
        return bool(self._single("bool()"))

    def _single(self, what: str) -> Any:
        data = self.numbers(what)
        if data.size != 1:
            raise ShapeError(f"{what}: an array of shape {self.shape} has {data.size} entries, not one")
        return data.item()

    def __repr__(self) -> str:
        data = self.concrete()
        if data is None:
            return f"<traced {self.spec}>"
        body = np.array2string(data, separator=", ", prefix="Array(")
        kind = (
            ""
            if data.dtype in (np.float64, np.int64, np.bool_, np.complex128) and data.size
            else f", dtype={data.dtype}"
        )
        return f"Array({body}{kind})"

    def __format__(self, specification: str) -> str:
        if not specification:
            return str(self)
        data = self.concrete()
        if data is None or not self.decides():  # no number, or one for every entry of a batch
            data = self.numbers("format()")
        if data.size != 1:
            raise ShapeError(f"format(): an array of shape {self.shape} has {data.size} entries, not one")
        return format(data.item(), specification)

    def __len__(self) -> int:
        if not self.shape:
            raise ArgumentError("len: an array of shape () has no axes")
        return self.shape[0]

    def __iter__(self) -> "Iterator[Array]":
        if not self.shape:
            raise ArgumentError("iter: an array of shape () has no axes")
        return (self[position] for position in range(self.shape[0]))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise refused_item()

    def copy(self, order: str = "C") -> "Array":
        """Return the array itself: it never changes."""
        return self

    def __copy__(self) -> "Array":
        return self

    def __deepcopy__(self, memo: Any) -> "Array":
        return self

    def __reduce__(self) -> Any:
        raise ArgumentError(
            "bprop arrays are not pickled: send np.asarray(x) to another process, and save them with bprop.train or as safetensors"
        )

    # --- NumPy code, unchanged ---
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if not options and method == "__call__":
            rule = NUMPY.get(ufunc)
            if rule is not None:
                return rule(*inputs)
        return apply_ufunc(ufunc, method, inputs, options, Array)

    def __array_function__(self, func: Any, types: Any, args: Any, options: Any) -> Any:
        if called_by_library():  # it may hand the result to native code, which takes NumPy's arrays
            return Call(func, func.__name__, args, options, Array).on_numbers(None)
        return apply_function(func, args, options, Array)


def refuse_masked(name: str, obj: Any) -> None:
    """Raise where ``obj`` is a masked array of NumPy or holds one: what is masked in it would count as a number."""
    ma = sys.modules.get("numpy.ma")  # where it is not loaded, there are none
    if ma is None or type(obj) is np.ndarray:
        return
    if isinstance(obj, ma.MaskedArray):
        raise ArgumentError(f"{name}: a masked array (numpy.ma) of shape {obj.shape} would lose its mask: {UNMASKED}")
    if isinstance(obj, list | tuple):
        for part in obj:
            refuse_masked(name, part)


class Tracer(Array):
    """An array that belongs to an interpreter: ``value`` is what it is one level below.

    Every subclass is called Array in what Python and NumPy say of a value, as in ``'Array' object has no attribute 'f'``.
    """

    __slots__ = ("owner", "value")
    owner: "Interpreter"
    value: Array

    def __init_subclass__(cls) -> None:
        cls.__name__ = cls.__qualname__ = Array.__name__
        call_array(cls)

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

    def decides(self) -> bool:
        return self.value.decides()

    def parts(self) -> "tuple[Array, ...]":
        """Return the values one level below that this one is made of."""
        return (self.value,)

    def origin(self) -> str:
        """Return what this value is, for messages."""
        return str(self.spec)

    def numbers(self, what: str) -> NDArray[Any]:
        what, instead = asked(self, what)
        raise TracedValueError(
            f"{what} of {self.origin()} inside {self.owner.name}: the number would become a constant and its derivative "
            f"would be lost without a word; {instead or 'compute with bprop (or NumPy) functions'}, cut the derivative on "
            f"purpose with bprop.stop_gradient and return the value, or look at it with bprop.callback(f, x)"
        )

    def __bool__(self) -> bool:
        return bool(self.value)

    def __array_function__(self, func: Any, types: Any, args: Any, options: Any) -> Any:
        return apply_function(func, args, options, Array)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is not False and (dtype is None or np.dtype(dtype).kind == "O") and user_lists():
            return taken_apart(self)
        product = sparse_product() if dtype is None else ""
        if product:  # one object tells the product that the other factor is to compute it, several let `dot` call that
            return hidden(self).reshape((1,) if product == "dot" else ())
        return super().__array__(dtype, copy)


call_array(Tracer)
give_entry_methods(Tracer)


class Shared(NamedTuple):
    """A NumPy array that a compilation takes by reference: ``array`` stands for it; ``content`` are its numbers at first."""

    data: NDArray[Any]
    array: Array
    content: NDArray[Any] | None

    @property
    def changed(self) -> bool:
        """Whether the function that is traced has changed the array in place since; of a large one nobody knows."""
        return self.content is not None and self.content.tobytes() != self.data.tobytes()


class Sharing:
    """What a compilation takes by reference: NumPy arrays, by identity, each with the array that stands for it.

    ``looked`` are those arrays whose numbers were asked for, so that more than their memory enters the program. An array that
    the traced function changes in place is taken by value: every use keeps the numbers that it saw.
    """

    LARGEST = 1 << 20
    """Bytes of an array that is watched for changes."""

    def __init__(self) -> None:
        self.arrays: dict[int, Shared] = {}
        self.looked: set[int] = set()

    def array(self, data: NDArray[Any]) -> Array:
        """Return the array that shares the memory of a NumPy array."""
        shared = self.arrays.get(id(data))
        if shared is None or shared.changed:
            self._settle(shared)
            content = data.copy("K") if data.nbytes <= self.LARGEST else None
            shared = self.arrays[id(data)] = Shared(data, Array(data.view(np.ndarray)), content)
        return shared.array

    def settle(self) -> None:
        """Take what was changed in place by value, when the trace has ended."""
        for key, shared in list(self.arrays.items()):
            if shared.changed:
                self._settle(shared)
                del self.arrays[key]

    def _settle(self, shared: Shared | None) -> None:
        if shared is not None and shared.content is not None:
            shared.array.data = shared.content


def asarray(
    obj: Any, /, *, dtype: DTypeLike | None = None, device: str | None = None, copy: bool | None = None
) -> Array:
    """Return ``obj`` (numbers, nested sequences, a NumPy array, anything with DLPack) as an `Array`.

    Among the numbers may be values under a transform, in nested sequences and in object arrays: they are joined.
    An array of NumPy or another library is copied, since it could be changed under a gradient that needs it; ``copy=False``
    shares it. While `compile` traces, one is an input of the program, by reference.
    Raises `DTypeError` for string data and for other objects, `ShapeError` where entries have different shapes, `ArgumentError`
    where another library does not give its numbers.

    **Source:** Python Array API standard 2024.12, ``asarray``.

    >>> import bprop, numpy as np
    >>> a = np.ones(2); x = bprop.asarray(a); a[0] = 5; x
    Array([1., 1.])
    """
    devices.check(device, "asarray")
    return converted("asarray", obj, dtype, copy)


_NATIVE = frozenset(map(np.dtype, "?bhilqBHILQefd"))


def converted(name: str, obj: Any, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
    """Return what `asarray` does; ``name`` is the function that was given ``obj``, for the error."""
    if type(obj) is np.ndarray and obj.dtype in _NATIVE and dtype is None and copy is None and SHARING.get() is None:
        return Array(obj.copy("K"))  # what most code has, at once
    if isinstance(obj, Array):
        return obj if dtype is None or obj.dtype == dtype else call("astype", obj, dtype)
    if type(obj) is TracedFloat:
        obj = obj.array(dtype)
        if isinstance(obj, Array):
            return obj
    refuse_masked(name, obj)
    if isinstance(obj, np.ndarray):
        if obj.dtype.kind == "O" and holds_numbers(obj):
            return converted(name, joined(name, obj), dtype)
    elif isinstance(obj, list | tuple):
        if holds_traced(obj):
            return converted(name, joined(name, obj), dtype)
    elif is_sparse(obj):
        raise ArgumentError(
            f"{name}: an argument is a sparse matrix of shape {obj.shape}: write A @ x for a product, whose derivative by x is "
            f"there, or bprop.asarray(A.toarray()) for a matrix with zeros"
        )
    data = lent(name, obj)
    wanted = dtypes.check(data.dtype if dtype is None else dtype, name)
    if data.dtype.kind not in dtypes.KINDS:
        dtypes.check(data.dtype, name)
    dtypes.refuse_dropping(name, data.dtype, wanted)
    if not data.dtype.isnative:
        wanted = wanted.newbyteorder("=")
    own = isinstance(obj, _FRESH)
    sharing = SHARING.get()
    if sharing is not None and copy is None and not own and wanted == data.dtype:
        return sharing.array(data)  # a program reads it where it lies
    if own or copy is False:
        return Array(np.asarray(data, dtype=wanted))
    return Array(np.array(data, dtype=wanted))


_FRESH = (list, tuple, *dtypes.WEAK, np.generic)
"""Kinds of objects of which NumPy makes an array of its own; that of another may share the object's memory."""


def escaped(value: Tracer, op: str) -> EscapedError:
    """Return the error for a value whose transform has ended, or that another transform cannot see."""
    return EscapedError(
        f"{op}: a value {value.spec} made inside {value.owner.name} was used where that transform cannot see "
        f"it: it has ended, or the function of a custom rule closes over the value; "
        f"return the value from the function, or pass it on as an argument"
    )
