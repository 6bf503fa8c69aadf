"""Example calls of every op, by family: a new op is tested by being in the registry.

An op whose family's calls will not do (a reshape needs a shape) declares its own beside itself: ``examples``.
"""

from collections.abc import Iterator
from functools import singledispatch
from math import isfinite
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..core.dtype import is_float, is_inexact, to_real
from ..core.family import Cumulative, Elementwise, Random, Reduction, Region, Selection
from ..core.op import Op

Case = tuple[tuple[Any, ...], dict[str, Any]]


class Draw:
    """Numbers for example calls, the same on every run: none is 0, none occurs twice, kinks are far away.

    >>> import numpy as np
    >>> from bprop.diagnose.case import Draw
    >>> draw = Draw("sum", np.float32)
    >>> draw(2, 3).shape, draw(2, 3).dtype
    ((2, 3), dtype('float32'))
    """

    def __init__(self, name: str, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.random = np.random.default_rng(crc32(name.encode()))

    def __call__(self, *shape: int, domain: tuple[float, float] = (-np.inf, np.inf)) -> NDArray[Any]:
        """Return an array of ``shape`` inside ``domain``: within about 2 of a finite end, else of 0.

        Of complex numbers that is the real part; the imaginary part is half as large.
        """
        if self.dtype.kind == "c":
            parts = self._real(shape, domain) + 0.5j * self._real(shape, (-np.inf, np.inf))
            return np.asarray(parts).astype(self.dtype)
        return self._real(shape, domain).astype(self.dtype)

    def _real(self, shape: tuple[int, ...], domain: tuple[float, float]) -> NDArray[Any]:
        low, high = domain
        size = int(np.prod(shape))
        # evenly spaced and shuffled: two entries are never closer than 1.9/size, so no step makes them tie
        unit = self.random.permutation((np.arange(size) + self.random.uniform(0.05, 0.95)) / max(size, 1))
        if isfinite(low) and isfinite(high):
            value = low + (high - low) * (0.1 + 0.8 * unit)
        elif isfinite(low):
            value = low + 0.3 + 1.9 * unit
        elif isfinite(high):
            value = high - 0.3 - 1.9 * unit
        else:
            value = (0.3 + 1.9 * unit) * self.random.choice([-1.0, 1.0], size)
        return value.reshape(shape)

    def flags(self, *shape: int) -> NDArray[Any]:
        """Return a bool array."""
        return self.random.random(shape) < 0.5

    def integers(self, *shape: int) -> NDArray[Any]:
        """Return an integer array of this size of number: none is negative, shifts stay small."""
        return self.random.integers(0, 7, shape).astype(f"int{8 * to_real(self.dtype).itemsize}")

    def positive_definite(self, *shape: int) -> NDArray[Any]:
        """Return well-conditioned positive definite matrices of ``shape`` (…, n, n), symmetric or Hermitian."""
        x = self(*shape) + np.float64(0)
        return np.asarray(x @ np.swapaxes(x.conj(), -1, -2) / shape[-1] + np.eye(shape[-1])).astype(self.dtype)

    def full_rank(self, *shape: int) -> NDArray[Any]:
        """Return well-conditioned matrices of ``shape`` (…, m, n), of rank min(m, n)."""
        m, n = shape[-2:]
        return np.asarray(np.eye(m, n) + np.float64(0.25) * self(*shape)).astype(self.dtype)


def cases(op: Op, dtype: DTypeLike = np.float64) -> Iterator[Case]:
    """Yield example calls ``(args, params)`` of ``op``: NumPy arrays of ``dtype`` and Python scalars.

    The op's own ``examples`` if it declares them, else those of its family. Raises `NotImplementedError` for
    an op whose parameters only its author can know and that declares no examples.

    >>> from bprop.core.op import REGISTRY
    >>> from bprop.diagnose.case import cases
    >>> len(list(cases(REGISTRY["exp"]))) > 3
    True
    """
    draw = Draw(op.name, dtype)
    if op.examples is not None:
        yield from op.examples(draw)
    else:
        yield from by_family(op, draw)


@singledispatch
def by_family(op: Op, draw: Draw) -> Iterator[Case]:
    """Yield the calls that every op of a family takes."""
    raise NotImplementedError(f"{op.name}: declare examples=lambda draw: [((draw(2, 3),), {{…}}), …] beside the op")


def _operands(draws: list[Any], *shapes: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(draw(*shape) for draw, shape in zip(draws, shapes, strict=True))


def _broadcasting(draws: list[Any]) -> Iterator[Case]:
    """Yield operands entry by entry: each of ``draws`` makes one operand of a shape."""
    count = len(draws)
    shapes: list[tuple[int, ...]]
    for shape in ((), (5,), (2, 3), (0, 3)):
        yield _operands(draws, *[shape] * count), {}
    yield tuple(x.T for x in _operands(draws, *[(3, 2)] * count)), {}
    yield tuple(x[::-2] for x in _operands(draws, *[(5,)] * count)), {}
    if count > 1:
        shapes = [(3, 1), (1, 4), (4,)]
        for shift in range(count):
            yield _operands(draws, *[shapes[(shift + position) % 3] for position in range(count)]), {}
        for position in range(count):
            shapes = [(2, 3)] * count
            shapes[position] = ()
            yield _operands(draws, *shapes), {}


@by_family.register
def _(op: Elementwise, draw: Draw) -> Iterator[Case]:
    if op.kind in ("bits", "integer"):
        count = len(op.partials)
        yield from _broadcasting([draw.integers] * count)
        yield (draw.integers(2, 3), *[3] * (count - 1)), {}
        if op.kind == "bits":
            yield from _broadcasting([draw.flags] * count)
        return
    domains = op.domain if op.domain and isinstance(op.domain[0], tuple) else (op.domain,) * len(op.partials)
    draws = [_within(draw, domain) for domain in domains]
    yield from _broadcasting(draws)
    if len(draws) > 1 and is_inexact(draw.dtype):  # weak Python scalars
        for position in range(len(draws)):
            args = list(_operands(draws, *[(2, 3)] * len(draws)))
            args[position] = 2.5
            yield tuple(args), {}
            args[position] = 2
            yield tuple(args), {}


def _within(draw: Draw, domain: Any) -> Any:
    return lambda *shape: draw(*shape, domain=domain)


@by_family.register
def _(op: Selection, draw: Draw) -> Iterator[Case]:
    draws: list[Any] = [draw.flags if fraction is None else draw for fraction in op.tie_fractions]
    yield from _broadcasting(draws)
    for position, fraction in enumerate(op.tie_fractions):
        if fraction is not None:
            args = list(_operands(draws, *[(2, 3)] * len(draws)))
            args[position] = 1
            yield tuple(args), {}


@by_family.register
def _(op: Reduction, draw: Draw) -> Iterator[Case]:
    for keepdims in (False, True):
        for shape, axis in (
            ((), ()), ((5,), (0,)), ((2, 3), ()), ((2, 3), (0,)), ((2, 3), (1,)), ((2, 3), (0, 1)),
            ((2, 3, 4), (0, 2)), ((2, 3, 4), (1,)), ((0, 3), (1,)),
        ):  # fmt: skip
            yield (draw(*shape),), {"axis": axis, "keepdims": keepdims}
        if op.empty:
            yield (draw(0, 3),), {"axis": (0,), "keepdims": keepdims}
    yield (draw(3, 2).T,), {"axis": (1,), "keepdims": False}


@by_family.register
def _(op: Cumulative, draw: Draw) -> Iterator[Case]:
    draws = [draw] * (op.arity or 1)
    for shape, axis in (((5,), 0), ((2, 3), 0), ((2, 3), 1), ((2, 4, 5), 1), ((1,), 0), ((0, 3), 0), ((0, 3), 1)):
        yield _operands(draws, *[shape] * len(draws)), {"axis": axis}
    yield tuple(x.T for x in _operands(draws, *[(3, 2)] * len(draws))), {"axis": 1}
    yield tuple(x[::-2] for x in _operands(draws, *[(5,)] * len(draws))), {"axis": 0}


@by_family.register
def _(op: Random, draw: Draw) -> Iterator[Case]:
    dtype = draw.dtype if is_float(draw.dtype) else np.dtype(np.float64)
    for shape in ((), (5,), (2, 3), (0,)):
        yield (np.array([7, 3], np.uint64),), {"shape": shape, "dtype": dtype}
    yield (np.array([[7, 3], [8, 0]], np.uint64),), {"shape": (4,), "dtype": dtype}


@by_family.register
def _(op: Region, draw: Draw) -> Iterator[Case]:
    # a region holds a function, so it has no calls of its own
    return iter(())
