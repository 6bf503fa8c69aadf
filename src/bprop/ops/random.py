"""Random numbers from a counter-based generator: entry i is a function of (seed, counter, i), whoever computes it.

Philox4x32-10 turns a 64-bit key and a 128-bit counter into four 32-bit words by ten rounds of multiply and xor.
Bits, uniform numbers and permutations are the same eager and compiled; normals agree to 4 units in the last place.

**Source:** Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3.
"""

from math import inf
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..core import dtype as dtypes
from ..core.cell import Cell
from ..core.error import ArgumentError, DTypeError
from ..core.family import Random
from ..core.number import integer, number
from ..core.shape import normalise_shape, size_of
from ..core.value import Array, asarray
from .arithmetic import add, multiply

__all__ = ["Generator"]

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(key: NDArray[Any], counter: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Return the four 32-bit words (as uint64) of each block ``counter`` under ``key`` (uint64, broadcast)."""
    c0, c1 = counter & _LOW, counter >> _HALF
    c2 = c3 = np.zeros_like(counter)
    k0, k1 = key & _LOW, key >> _HALF
    for step in range(ROUNDS):
        if step:
            k0, k1 = (k0 + np.uint64(WEYL[0])) & _LOW, (k1 + np.uint64(WEYL[1])) & _LOW
        p0, p1 = c0 * np.uint64(MULTIPLIERS[0]), c2 * np.uint64(MULTIPLIERS[1])
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW, (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
    return c0, c1, c2, c3


def _words(state: NDArray[Any], blocks: int) -> tuple[NDArray[Any], ...]:
    counter = state[..., 1:2] + np.arange(blocks, dtype=np.uint64)
    return philox(state[..., 0:1], counter)


def _interleaved(columns: list[NDArray[Any]], state: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    flat = np.stack(columns, axis=-1).reshape(*state.shape[:-1], -1)[..., : size_of(shape)]
    return flat.reshape((*state.shape[:-1], *shape))


def _fraction53(high: NDArray[Any], low: NDArray[Any]) -> NDArray[Any]:
    """53 random bits from two words, as a float64 in [0, 1)."""
    return ((high >> np.uint64(5)) * 67108864.0 + (low >> np.uint64(6))) * 2.0**-53


def _uniform(state: NDArray[Any], shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    if dtype == np.float32:
        words = _words(state, -(-size_of(shape) // 4))
        columns = [(word >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24) for word in words]
    else:
        a, b, c, d = _words(state, -(-size_of(shape) // 2))
        columns = [_fraction53(a, b), _fraction53(c, d)]
    return _interleaved(columns, state, shape)


def _normal(state: NDArray[Any], shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Box and Muller (1958), two normals per block, computed in float64 whatever ``dtype`` is."""
    a, b, c, d = _words(state, -(-size_of(shape) // 2))
    radius = np.sqrt(-2 * np.log(1 - _fraction53(a, b)))
    angle = 2 * np.pi * _fraction53(c, d)
    return _interleaved([radius * np.cos(angle), radius * np.sin(angle)], state, shape).astype(dtype)


def _permutation(state: NDArray[Any], shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """The order of random 64-bit keys, ties by position."""
    a, b, c, d = _words(state, -(-size_of(shape) // 2))
    keys = _interleaved([a << _HALF | b, c << _HALF | d], state, shape)
    return np.argsort(keys, axis=-1, kind="stable").astype(dtype)


uniform_op = Random("uniform", _uniform, entry="uniform", doc="Uniform numbers in [0, 1): see `Generator.uniform`.")
_random_normal = Random("normal", _normal, entry="normal", doc="Standard normals: see `Generator.normal`.")
_random_permutation = Random(
    "permutation",
    _permutation,
    examples=lambda draw: [
        ((state,), {"shape": (5,), "dtype": np.dtype(np.int64)})
        for state in (np.array([7, 3], np.uint64), np.array([[7, 3], [8, 0]], np.uint64))
    ],
    doc="A random order: see `Generator.permutation`.",
)


class Generator:
    """A stream of random numbers: a key (the seed) and a counter that moves on with every draw.

    The counter is a cell: a compiled step, a checkpoint or a saved run continues the stream exactly. Equal seeds give
    equal numbers, eager and compiled, whatever the number of threads.

    **Source:** Salmon, Moraes, Dror & Shaw (2011), Philox4x32-10.

    >>> import bprop
    >>> generator = bprop.Generator(0)
    >>> x = generator.uniform((2, 3))
    >>> x.shape, bool(bprop.max(x) < 1)
    ((2, 3), True)
    """

    def __init__(self, seed: int) -> None:
        key = integer("Generator", "the seed", seed, 0, 2**64, allowed="an integer from 0 to 2**64 - 1")
        self.cell = Cell(asarray(np.array([key, 0], np.uint64)), "generator")

    def __repr__(self) -> str:
        key, counter = self.cell.array.tolist()
        return f"Generator(seed={key}, counter={counter})"

    def cells(self) -> dict[str, Cell]:
        """Return the one cell, the state."""
        return {"state": self.cell}

    @property
    def state(self) -> Array:
        """Key and counter, uint64 of shape (2,)."""
        return self.cell.read()

    @state.setter
    def state(self, value: Any) -> None:
        state = asarray(value)
        if state.dtype != np.uint64 or state.shape != (2,):
            raise DTypeError(f"Generator: the state is uint64 of shape (2,), not {state.spec}")
        self.cell.write(state)

    def _draw(self, op: Random, shape: Any, dtype: DTypeLike, per_block: int) -> Array:
        sizes = normalise_shape(op.name, shape)
        state = self.cell.read()
        y = op(state, shape=sizes, dtype=np.dtype(dtype))
        blocks = -(-size_of(sizes) // per_block)
        self.cell.write(add(state, asarray(np.array([0, blocks], np.uint64))))
        return y

    def uniform(self, shape: Any = (), *, low: float = 0.0, high: float = 1.0, dtype: DTypeLike = np.float64) -> Array:
        """Return numbers uniform in [low, high); `ArgumentError` unless both are finite and low ≤ high.

        >>> import bprop
        >>> bool(bprop.Generator(1).uniform((), low=2, high=3) >= 2)
        True
        """
        first, last = number("uniform", "low", low), number("uniform", "high", high)
        if first > last:
            raise ArgumentError(f"uniform: low is at most high, not {low!r} and {high!r}")
        wanted = _floating("uniform", dtype)
        unit = self._draw(uniform_op, shape, wanted, 4 if wanted == np.float32 else 2)
        return unit if (first, last) == (0.0, 1.0) else add(multiply(unit, last - first), first)

    def normal(
        self, shape: Any = (), *, mean: float = 0.0, deviation: float = 1.0, dtype: DTypeLike = np.float64
    ) -> Array:
        """Return normal numbers with the given mean and standard deviation: finite numbers, the second ≥ 0, or arrays.

        >>> import bprop
        >>> bprop.Generator(1).normal((3,)).shape
        (3,)
        """
        for name, value, low in (("mean", mean, -inf), ("deviation", deviation, 0)):
            if not isinstance(value, Array | np.ndarray):
                number("normal", name, value, low)
        unit = self._draw(_random_normal, shape, _floating("normal", dtype), 2)
        return unit if (mean, deviation) == (0.0, 1.0) else add(multiply(unit, deviation), mean)

    def bernoulli(self, probability: float, shape: Any = ()) -> Array:
        """Return a bool array, each entry true with ``probability``.

        >>> import bprop
        >>> bprop.Generator(1).bernoulli(1.0, (2,))
        Array([ True,  True])
        """
        if not isinstance(probability, Array):
            number("bernoulli", "probability", probability, 0, 1, open_high=False)
        elif not 0 <= probability <= 1:
            raise ArgumentError(f"bernoulli: probability is a number in [0, 1], not {probability}")
        return self.uniform(shape, dtype=np.float32) < probability

    def permutation(self, n: int) -> Array:
        """Return the numbers 0 … n-1 in random order, int64 of shape (n,).

        >>> import bprop
        >>> sorted(bprop.Generator(1).permutation(4).tolist())
        [0, 1, 2, 3]
        """
        return self._draw(_random_permutation, (n,), np.int64, 2)


def _floating(name: str, dtype: DTypeLike) -> "np.dtype[Any]":
    wanted = dtypes.check(dtype, name)
    if wanted not in (np.float32, np.float64):
        raise DTypeError(f"{name}: dtype is float32 or float64, not {wanted}")
    return wanted
