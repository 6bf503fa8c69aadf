"""Where batches come from: arrays and memory maps in a drawn order, or whatever yields pairs."""

import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from math import ceil
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.error import ArgumentError, ShapeError
from ..core.value import Array, refuse_masked
from ..ops import Generator, astype, take
from .data import Indices, batches
from .storage import StorageError

Data = tuple[NDArray[Any], NDArray[Any]]
Notify = Callable[[str], None]
RowGather = Callable[[Any], Any]
_MAX_DIGESTED_BYTES = 1 << 24  # of a larger array the fingerprint covers `_SAMPLED_ROWS` rows
_SAMPLED_ROWS = 64


class MiniBatch(NamedTuple):
    """Inputs ``x`` and targets ``t`` of some examples; ``rows`` are their positions in the data, where those exist."""

    x: NDArray[Any]
    t: NDArray[Any]
    rows: Indices | None = None


class Source(Protocol):
    """Where the training loop gets its batches.

    Attributes
    ----------
    steps, examples
        Batches and examples of an epoch, or ``None`` if the number is unknown.
    replays
        Whether the batches of an epoch can be read a second time.
    """

    steps: int | None
    examples: int | None
    replays: bool

    def start(self, epoch: int) -> None:
        """Begin an epoch."""

    def batches(self, done: int) -> Iterator[MiniBatch]:
        """Yield the batches of the epoch except the first ``done``."""

    def sample(self) -> MiniBatch:
        """Return some examples to try the model on."""

    def fingerprint(self) -> Any:
        """Return plain values that differ for other data."""

    def drawn(self) -> dict[str, Any]:
        """Return plain values for a checkpoint: how many batches were taken, and a digest of the last."""

    def skip(self, drawn: dict[str, Any], done: int) -> None:
        """Go on after a checkpoint with `drawn` values, when ``done`` batches of the epoch are done."""


class ArraySource:
    """Batches from arrays of equal length. Every epoch visits all examples once, mostly in an order drawn from ``generator``.

    Memory maps stay on disk: a batch is read and converted when it is needed.

    Parameters
    ----------
    x, t
        Inputs (N, …) and targets (N, …).
    batch_size
        Examples per batch; the last batch of an epoch may be smaller.
    generator
        Draws the order of each epoch.
    dtype
        The dtype to which floats are converted.
    shuffle
        Whether the order is drawn; if not, it is that of the arrays.
    """

    replays = True

    def __init__(
        self,
        x: NDArray[Any],
        t: NDArray[Any],
        batch_size: int,
        generator: Generator,
        dtype: Any,
        shuffle: bool = True,
    ) -> None:
        self.x, self.t, self.batch_size, self.generator, self.dtype = x, t, batch_size, generator, dtype
        self.shuffle = shuffle
        self.examples: int | None = len(x)
        batches(0, batch_size)  # refuses an invalid size
        self.steps: int | None = ceil(len(x) / batch_size)
        self.order: Indices = np.arange(0)

    def start(self, epoch: int) -> None:
        """Draw the order of the epoch, unless it is fixed."""
        count = len(self.x)
        self.order = np.asarray(self.generator.permutation(count)) if self.shuffle else np.arange(count)

    def batches(self, done: int) -> Iterator[MiniBatch]:
        """Yield the batches of the epoch except the first ``done``."""
        for start in range(done * self.batch_size, len(self.order), self.batch_size):
            yield self.batch(self.order[start : start + self.batch_size])

    def batch(self, rows: Indices) -> MiniBatch:
        """Return the examples in ``rows``."""
        return MiniBatch(as_dtype(self.x[rows], self.dtype), as_dtype(self.t[rows], self.dtype), rows)

    def chunk(self, done: int, max_steps: int) -> Indices:
        """Return the rows of the next batches of equal size, at most ``max_steps`` of them: (steps, size)."""
        start, size = done * self.batch_size, self.batch_size
        steps = min(max_steps, (len(self.order) - start) // size)
        return self.order[start : start + steps * size].reshape(steps, size) if steps else self.order[None, start:]

    def row_gathers(self) -> list[RowGather] | None:
        """Return functions that gather rows of inputs and targets in native code, or ``None`` if only NumPy can do that.

        Memory maps are read in place: only the pages of the gathered examples.
        """
        x, t = _native_array(self.x), _native_array(self.t)
        return None if x is None or t is None else [row_gather(x, self.dtype), row_gather(t, self.dtype)]

    def sample(self) -> MiniBatch:
        """Return one input and all targets; of large targets only some."""
        count = len(self.x) if self.t.nbytes <= _MAX_DIGESTED_BYTES else _SAMPLED_ROWS
        return MiniBatch(as_dtype(self.x[:1], self.dtype), as_dtype(self.t[:count], self.dtype))

    def fingerprint(self) -> Any:
        """Return shapes, dtypes and digests: of all bytes up to 16 MiB, of 64 examples if there are more."""
        return [f"{array.dtype}{list(array.shape)} {digest(_digested_rows(array))}" for array in (self.x, self.t)]

    def drawn(self) -> dict[str, Any]:
        """Return nothing: the order follows from the state of the generator."""
        return {}

    def skip(self, drawn: dict[str, Any], done: int) -> None:
        """Do nothing: `batches` can begin anywhere."""


def _native_array(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return an array that native code can read: the same buffer where possible, ``None`` if it cannot be converted."""
    dtype = array.dtype.newbyteorder("=")
    if dtype.kind not in "biu" and dtype not in (np.float32, np.float64):
        return None
    if array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative:
        return array
    return None if _is_mapped(array) else np.require(array, dtype, ["C", "A"])


def _is_mapped(array: Any) -> bool:
    """Return whether an array lies in a memory map, of which no copy is to be made."""
    return isinstance(array, np.memmap) or (array is not None and _is_mapped(getattr(array, "base", None)))


def row_gather(array: NDArray[Any], dtype: Any) -> RowGather:
    """Return a function from row indices to these rows of ``array``, with floats converted to ``dtype``."""
    source = Array(array)

    def gather(rows: Any) -> Any:
        values = take(source, rows, axis=0)
        return astype(values, dtype) if array.dtype.kind == "f" and array.dtype != dtype else values

    return gather


class StreamSource:
    """Batches (x, t) from an iterable, an iterator, or a function that returns one of them.

    Parameters
    ----------
    data
        The iterable or function. A function may take the number of the epoch.
    steps
        Batches per epoch, or ``None`` for all that there are.
    epochs
        How many epochs are wanted; an iterator without ``steps`` is for one epoch only.
    dtype
        The dtype to which floats are converted.
    notify
        Is called with a text when inputs are converted.
    """

    examples: int | None = None

    def __init__(self, data: Any, steps: int | None, epochs: int, dtype: Any, notify: Notify) -> None:
        self.data, self.steps, self.dtype, self.notify = data, steps, dtype, notify
        self.replays = callable(data) or iter(data) is not data
        if not self.replays and steps is None and epochs > 1:
            raise ArgumentError(
                f"fit: train is an iterator, which can be gone through once, and epochs={epochs}: give a list, a function "
                f"that returns a new iterator for every epoch, or steps_per_epoch"
            )
        self.epoch, self.taken = 1, 0
        self.last: MiniBatch | None = None
        self._read_ahead: list[Any] = []  # taken from an iterator by `sample`, and not yet trained on
        self._notified: set[Any] = set()

    def start(self, epoch: int) -> None:
        """Begin an epoch."""
        self.epoch = epoch

    def _open(self) -> Iterator[Any]:
        if not self.replays:
            read_ahead, self._read_ahead = self._read_ahead, []
            return chain(read_ahead, self.data)
        pairs = self.data(*([self.epoch] if _takes_epoch(self.data) else [])) if callable(self.data) else self.data
        if not isinstance(pairs, Iterable):
            raise ArgumentError(f"fit: train returned {type(pairs).__name__}, not an iterable of batches (x, t)")
        return iter(pairs)

    def batches(self, done: int) -> Iterator[MiniBatch]:
        """Yield the batches of the epoch except the first ``done``."""
        stop = None if self.steps is None else self.steps - (0 if self.replays else done)
        number = done
        for pair in islice(self._open(), done if self.replays else 0, stop):
            number += 1
            self.taken += 1
            self.last = self._batch(pair, number)
            yield self.last
        if number == 0:
            ended = "" if self.replays else f": the iterator ended after {self.taken} batches"
            raise ArgumentError(f"fit: train has no batches in epoch {self.epoch}{ended}")

    def _batch(self, pair: Any, number: int) -> MiniBatch:
        x, t = pair_of(f"fit: train, epoch {self.epoch}, batch {number}", pair)
        if x.dtype.kind == "f" and x.dtype != self.dtype and x.dtype not in self._notified:
            self._notified.add(x.dtype)
            self.notify(f"train inputs are {x.dtype}, the model is {self.dtype}: converted batch by batch")
        return MiniBatch(as_dtype(x, self.dtype), as_dtype(t, self.dtype))

    def sample(self) -> MiniBatch:
        """Return the first batch; an iterator yields it a second time afterwards."""
        pair = next(self._open(), None)
        if pair is None:
            raise ShapeError("fit: train has no batches")
        if not self.replays:
            self._read_ahead.append(pair)
        return self._batch(pair, 1)

    def fingerprint(self) -> Any:
        """Return only the kind of the data: the rest is unknown."""
        return "batches"

    def drawn(self) -> dict[str, Any]:
        """Return how many batches were taken, and a digest of the last."""
        last = None if self.last is None else digest(self.last.x) + digest(self.last.t)
        return {"taken": self.taken, "last": last}

    def skip(self, drawn: dict[str, Any], done: int) -> None:
        """Skip the batches that were seen. Raises `StorageError` if the last of them is another than then."""
        count = done if self.replays else drawn.get("taken", 0)
        self.taken = drawn.get("taken", 0)
        if not count:
            return
        pair = next(islice(self._open(), count - 1, count), None)
        batch = None if pair is None else self._batch(pair, count)
        if batch is None or digest(batch.x) + digest(batch.t) != drawn.get("last"):
            what = "has fewer batches" if batch is None else "yields other batches"
            raise StorageError(
                f"fit: train {what} than the run that is resumed had seen (epoch {self.epoch}, batch {done}): the same "
                f"batches have to come in the same order"
            )
        self.last = batch


def _takes_epoch(function: Callable[..., Any]) -> bool:
    """Return whether a function takes the number of the epoch: in an argument without default, or named epoch."""
    try:
        arguments = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(a.kind in kinds and (a.default is a.empty or a.name == "epoch") for a in arguments)


def is_stream(data: Any) -> bool:
    """Return whether ``data`` yields batches: everything but a pair of arrays."""
    if callable(data) or (isinstance(data, Iterator) and not isinstance(data, np.ndarray)):
        return True
    if isinstance(data, list) and data:
        return all(isinstance(pair, tuple) and len(pair) == 2 and all(map(_is_array, pair)) for pair in data)
    return isinstance(data, Iterable) and not isinstance(data, tuple | list | np.ndarray | Array | str | dict)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | Array)


def as_dtype(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return an array of floats converted to ``dtype``, any other array unchanged."""
    return array.astype(dtype) if array.dtype.kind == "f" and array.dtype != dtype else array


def pair_of(what: str, data: Any) -> Data:
    """Return inputs and targets as NumPy arrays of equal length, at least 1."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ArgumentError(f"{what} is a pair (x, t) of inputs and targets")
    refuse_masked(what, data)
    try:
        x, t = (np.asarray(array) for array in data)
    except ValueError:
        raise ShapeError(f"{what}: inputs or targets are lists of unequal lengths, which make no array") from None
    if not x.ndim or not t.ndim or len(x) != len(t):
        raise ShapeError(f"{what} has inputs of shape {x.shape} and targets of shape {t.shape}: lengths differ")
    if not len(x):
        raise ShapeError(f"{what} has no examples (inputs of shape {x.shape})")
    return x, t


def arrays_of(name: str, data: Any, dtype: Any, notify: Notify) -> Data:
    """Return inputs and targets; arrays in memory are converted to the dtype of the parameters, memory maps are not."""
    x, t = pair_of(f"fit: {name}", data)
    mapped = [isinstance(array, np.memmap) for array in data]
    if x.dtype.kind == "f" and x.dtype != dtype:
        how = "converted batch by batch" if mapped[0] else "converted once, here"
        notify(f"{name} inputs are {x.dtype}, the model is {dtype}: {how}")
    return x if mapped[0] else as_dtype(x, dtype), t if mapped[1] else as_dtype(t, dtype)


def _digested_rows(array: NDArray[Any]) -> NDArray[Any]:
    if array.nbytes <= _MAX_DIGESTED_BYTES:
        return array
    return array[np.unique(np.linspace(0, len(array) - 1, _SAMPLED_ROWS).astype(np.int64))]


def digest(array: NDArray[Any]) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of dtype, shape and numbers."""
    sha256 = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    sha256.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return sha256.hexdigest()[:16]
