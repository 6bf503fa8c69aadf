"""Where batches come from: arrays and memory maps in a drawn order, or whatever yields pairs."""

import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
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
Say = Callable[[str], None]
Gather = Callable[[Any], Any]
_WHOLE = 1 << 24  # bytes of an array up to which its fingerprint looks at all of them
_ROWS = 64


class Batch(NamedTuple):
    """Inputs and targets of some examples, and which they are, where that is known."""

    x: NDArray[Any]
    t: NDArray[Any]
    rows: Indices | None = None


class Source(Protocol):
    """What the loop asks of data. ``steps`` and ``examples`` of an epoch are ``None`` where nobody knows them."""

    steps: int | None
    examples: int | None
    replays: bool
    """Whether the batches of an epoch can be had again."""

    def start(self, epoch: int) -> None:
        """Begin an epoch."""

    def batches(self, done: int) -> Iterator[Batch]:
        """Yield the batches of the epoch but the first ``done``."""

    def sample(self) -> Batch:
        """Return some examples to try the model on."""

    def fingerprint(self) -> Any:
        """Return plain values by which other data is noticed."""

    def drawn(self) -> dict[str, Any]:
        """Return plain values for a checkpoint: how much was taken, and a digest of the last."""

    def skip(self, drawn: dict[str, Any], done: int) -> None:
        """Go on after a checkpoint: ``done`` batches of the epoch have been seen."""


class Arrays:
    """Arrays of equal length; every epoch visits all examples in an order drawn from ``generator``.

    Memory maps stay on disk: a batch is read, and converted, when its turn comes.
    """

    replays = True

    def __init__(self, x: NDArray[Any], t: NDArray[Any], batch_size: int, generator: Generator, dtype: Any) -> None:
        self.x, self.t, self.batch_size, self.generator, self.dtype = x, t, batch_size, generator, dtype
        self.examples: int | None = len(x)
        batches(0, batch_size)  # refuses what is no size
        self.steps: int | None = ceil(len(x) / batch_size)
        self.order: Indices = np.arange(0)

    def start(self, epoch: int) -> None:
        """Draw the order of the epoch."""
        self.order = np.asarray(self.generator.permutation(len(self.x)))

    def batches(self, done: int) -> Iterator[Batch]:
        """Yield the batches of the epoch but the first ``done``."""
        for start in range(done * self.batch_size, len(self.order), self.batch_size):
            yield self.batch(self.order[start : start + self.batch_size])

    def batch(self, rows: Indices) -> Batch:
        """Return the examples ``rows``."""
        return Batch(fitting(self.x[rows], self.dtype), fitting(self.t[rows], self.dtype), rows)

    def stretch(self, done: int, most: int) -> Indices:
        """Return which examples make up the next batches, at most so many, of equal size: (batches, size)."""
        start, size = done * self.batch_size, self.batch_size
        count = min(most, (len(self.order) - start) // size)
        return self.order[start : start + count * size].reshape(count, size) if count else self.order[None, start:]

    def gathered(self) -> list[Gather] | None:
        """Return functions of indices that take inputs and targets in native code, or ``None`` where that has to be NumPy.

        Memory maps are read in place: only the pages of the examples that are taken.
        """
        x, t = _in_place(self.x), _in_place(self.t)
        return None if x is None or t is None else [gathering(x, self.dtype), gathering(t, self.dtype)]

    def sample(self) -> Batch:
        """Return all targets, or of a memory map some, and as many inputs."""
        count = len(self.x) if self.t.nbytes <= _WHOLE else _ROWS
        return Batch(fitting(self.x[:1], self.dtype), fitting(self.t[:count], self.dtype))

    def fingerprint(self) -> Any:
        """Return shapes, dtypes and digests: of all bytes up to 16 MiB, of 64 examples of more."""
        return [f"{part.dtype}{list(part.shape)} {digest(_some(part))}" for part in (self.x, self.t)]

    def drawn(self) -> dict[str, Any]:
        """Return nothing: the order follows from the state of the generator."""
        return {}

    def skip(self, drawn: dict[str, Any], done: int) -> None:
        """Do nothing: `batches` begins where it is told."""


def _in_place(part: NDArray[Any]) -> NDArray[Any] | None:
    """Return an array as native code reads it, by reference where that is possible."""
    dtype = part.dtype.newbyteorder("=")
    if dtype.kind not in "biu" and dtype not in (np.float32, np.float64):
        return None
    if part.flags.c_contiguous and part.flags.aligned and part.dtype.isnative:
        return part
    return None if _mapped(part) else np.require(part, dtype, ["C", "A"])


def _mapped(part: Any) -> bool:
    """Return whether an array lies in a memory map, which is not to be read whole."""
    return isinstance(part, np.memmap) or (part is not None and _mapped(getattr(part, "base", None)))


def gathering(part: NDArray[Any], dtype: Any) -> Gather:
    """Return the function of indices that takes rows of ``part``, floats in ``dtype``."""
    whole = Array(part)

    def taken(rows: Any) -> Any:
        some = take(whole, rows, axis=0)
        return astype(some, dtype) if part.dtype.kind == "f" and part.dtype != dtype else some

    return taken


class Stream:
    """Batches (x, t) from an iterable, an iterator, or a function that returns one, perhaps of the number of the epoch."""

    examples: int | None = None

    def __init__(self, data: Any, steps: int | None, epochs: int, dtype: Any, say: Say) -> None:
        self.data, self.steps, self.dtype, self.say = data, steps, dtype, say
        self.replays = callable(data) or iter(data) is not data
        if not self.replays and steps is None and epochs > 1:
            raise ArgumentError(
                f"fit: train is an iterator, which can be gone through once, and epochs={epochs}: give a list, a function "
                f"that returns a new iterator for every epoch, or steps_per_epoch"
            )
        self.epoch, self.taken = 1, 0
        self.last: Batch | None = None
        self._kept: list[Any] = []  # taken from an iterator only to be looked at
        self._said: set[Any] = set()

    def start(self, epoch: int) -> None:
        """Begin an epoch."""
        self.epoch = epoch

    def _open(self) -> Iterator[Any]:
        if not self.replays:
            kept, self._kept = self._kept, []
            return (pair for part in (kept, self.data) for pair in part)
        made = self.data(*([self.epoch] if _takes_epoch(self.data) else [])) if callable(self.data) else self.data
        if not isinstance(made, Iterable):
            raise ArgumentError(f"fit: train returned {type(made).__name__}, not an iterable of batches (x, t)")
        return iter(made)

    def batches(self, done: int) -> Iterator[Batch]:
        """Yield the batches of the epoch but the first ``done``."""
        stop = None if self.steps is None else self.steps - (0 if self.replays else done)
        number = done
        for pair in islice(self._open(), done if self.replays else 0, stop):
            number += 1
            self.taken += 1
            self.last = self._batch(pair, number)
            yield self.last
        if number == 0:
            raise ArgumentError(f"fit: train has no batches in epoch {self.epoch}{self._advice()}")

    def _advice(self) -> str:
        return "" if self.replays else f": the iterator ended after {self.taken} batches"

    def _batch(self, pair: Any, number: int) -> Batch:
        x, t = pair_of(f"fit: train, epoch {self.epoch}, batch {number}", pair)
        for name, part in (("inputs", x), ("targets", t)):
            if (
                part.dtype.kind == "f"
                and part.dtype != self.dtype
                and name == "inputs"
                and part.dtype not in self._said
            ):
                self._said.add(part.dtype)
                self.say(f"train inputs are {part.dtype}, the model is {self.dtype}: converted batch by batch")
        return Batch(fitting(x, self.dtype), fitting(t, self.dtype))

    def sample(self) -> Batch:
        """Return the first batch; an iterator yields it again afterwards."""
        pair = next(self._open(), None)
        if pair is None:
            raise ShapeError("fit: train has no batches")
        if not self.replays:
            self._kept.append(pair)
        return self._batch(pair, 1)

    def fingerprint(self) -> Any:
        """Return only what kind of data it is: nobody knows the rest."""
        return "batches"

    def drawn(self) -> dict[str, Any]:
        """Return how many batches were taken, and a digest of the last."""
        last = None if self.last is None else digest(self.last.x) + digest(self.last.t)
        return {"taken": self.taken, "last": last}

    def skip(self, drawn: dict[str, Any], done: int) -> None:
        """Go past the batches that were seen, and see that the last of them is the same as then."""
        count = done if self.replays else drawn.get("taken", 0)
        self.taken = drawn.get("taken", 0)
        if not count:
            return
        pair = next(islice(self._open(), count - 1, count), None)
        again = None if pair is None else self._batch(pair, count)
        if again is None or digest(again.x) + digest(again.t) != drawn.get("last"):
            what = "has fewer batches" if again is None else "yields other batches"
            raise StorageError(
                f"fit: train {what} than the run that is resumed had seen (epoch {self.epoch}, batch {done}): the same "
                f"batches have to come in the same order"
            )
        self.last = again


def _takes_epoch(function: Callable[..., Any]) -> bool:
    """Return whether a function wants the number of the epoch: it has an argument without default, or named epoch."""
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
        return all(isinstance(one, tuple) and len(one) == 2 and all(map(_is_array, one)) for one in data)
    return isinstance(data, Iterable) and not isinstance(data, tuple | list | np.ndarray | Array | str | dict)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | Array)


def fitting(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return an array of floats in the dtype of the parameters, anything else as it is."""
    return array.astype(dtype) if array.dtype.kind == "f" and array.dtype != dtype else array


def pair_of(what: str, data: Any) -> Data:
    """Return inputs and targets as NumPy arrays of equal length, at least 1."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ArgumentError(f"{what} is a pair (x, t) of inputs and targets")
    refuse_masked(what, data)
    try:
        x, t = (np.asarray(part) for part in data)
    except ValueError:
        raise ShapeError(f"{what}: inputs or targets are lists of unequal lengths, which make no array") from None
    if not x.ndim or not t.ndim or len(x) != len(t):
        raise ShapeError(f"{what} has inputs of shape {x.shape} and targets of shape {t.shape}: lengths differ")
    if not len(x):
        raise ShapeError(f"{what} has no examples (inputs of shape {x.shape})")
    return x, t


def arrays_of(name: str, data: Any, dtype: Any, say: Say) -> Data:
    """Return inputs and targets; arrays in memory are converted to the dtype of the parameters, memory maps are not."""
    x, t = pair_of(f"fit: {name}", data)
    mapped = [isinstance(part, np.memmap) for part in data]
    if x.dtype.kind == "f" and x.dtype != dtype:
        how = "converted batch by batch" if mapped[0] else "converted once, here"
        say(f"{name} inputs are {x.dtype}, the model is {dtype}: {how}")
    return x if mapped[0] else fitting(x, dtype), t if mapped[1] else fitting(t, dtype)


def _some(array: NDArray[Any]) -> NDArray[Any]:
    if array.nbytes <= _WHOLE:
        return array
    return array[np.unique(np.linspace(0, len(array) - 1, _ROWS).astype(np.int64))]


def digest(array: NDArray[Any]) -> str:
    """Return a short digest of shape, dtype and numbers."""
    known = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    known.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return known.hexdigest()[:16]
