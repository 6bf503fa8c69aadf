"""Positions in a sequence, told to layers that treat all positions alike: sinusoids, learned rows, rotations."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import DTypeError, IndexingError, ShapeError
from ..core.number import flag, integer, number
from ..core.value import Array, asarray
from ..ops import Generator, arange, astype, concat, cos, expand_dims, reshape, sin, stack, take, where
from .cell import parameter
from .default_generator import generator_for
from .initialiser import Initialiser, normal
from .module import Module
from .setting import allocating, floating


def _angles(positions: Any, width: int, base: float) -> Array:
    """Return the angle of every pair of entries, base^(-2i / width) per position, (..., T, ⌈width / 2⌉), in float64.

    In single precision the angle of a position far on would have few digits left.
    """
    frequencies = base ** (arange((width + 1) // 2) / (-width / 2))
    angles: Array = expand_dims(astype(positions, np.float64), -1) * frequencies
    return angles


def _sequence(module: Module, x: Any, width: int) -> Array:
    """Return x, (..., T, width), as an array; raise `ShapeError` where it has another shape."""
    x = asarray(x)
    if x.ndim < 2 or x.shape[-1] != width:
        raise ShapeError(f"{type(module).__name__}: x has shape {x.shape}, it should be (..., T, {width})")
    return x


def _start(module: Module, start: Any) -> Any:
    """Return the position of the first entry: a Python integer where its number is there, else an array ()."""
    array = asarray(start)
    if array.shape != () or array.dtype.kind not in "iu":
        raise ShapeError(f"{type(module).__name__}: start is one integer, not {array.spec}")
    numbers = array.concrete()
    return array if numbers is None else int(numbers)


class SinusoidalPositions(Module):
    """y = x + s, with s[t, 2i] = sin(t / base^(2i/n)) and s[t, 2i+1] = cos(t / base^(2i/n)) at position t.

    From one pair of entries to the next the wavelengths grow from 2π to 2π · base: fixed numbers, for sequences of any
    length. s of a position further on is a rotation of s, the same for all positions.

    ``x``, ``y``: (..., T, n), floating; ``fprop(x, start)`` takes the position of the first entry, an integer of shape (),
    0 if left out. ∂E/∂x = ∂E/∂y. Raises `ShapeError` where the last axis of x is not n long.

    - ``inputs``: n, the length of the last axis.
    - ``base``: a number > 0.

    **Source:** Vaswani et al. (2017), Attention is all you need, section 3.5.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.SinusoidalPositions(4)(bprop.zeros((2, 4)))
    Array([[0.        , 1.        , 0.        , 1.        ],
           [0.84147098, 0.54030231, 0.00999983, 0.99995   ]])
    """

    answers = (0,)

    def __init__(self, inputs: int, base: float = 10000.0) -> None:
        self.inputs = integer(self, "inputs", inputs)
        self.base = number(self, "base", base, 0, open_low=True)

    def fprop(self, x: Any, start: Any = 0) -> Array:
        x, start = _sequence(self, x, self.inputs), _start(self, start)
        count = x.shape[-2]
        angles = _angles(start + arange(count), self.inputs, self.base)
        pairs = reshape(stack([sin(angles), cos(angles)], axis=-1), (count, 2 * angles.shape[-1]))
        table = astype(pairs[:, : self.inputs], x.dtype if x.dtype.kind == "f" else np.float64)
        y: Array = x + table
        return y

    def example(self) -> tuple[Any, ...]:
        """Return the shape of two short sequences."""
        return ((2, 3, self.inputs),)

    def describe(self) -> str:
        return f"{self.inputs}" + ("" if self.base == 10000 else f", base={self.base:g}")


class LearnedPositions(Module):
    """y = x + W[start : start + T]: a row of numbers for every position, trained like other parameters.

    ``x``, ``y``: (..., T, outputs) with T ≤ length; ``W``: (length, outputs); ``fprop(x, start)`` takes the position of the
    first entry, an integer of shape (), 0 if left out. ∂E/∂W is the sum of ∂E/∂y over the sequences. Raises
    `IndexingError` where a position is outside 0 … length - 1, `ShapeError` where the last axis of x is not ``outputs``,
    `DTypeError` for a float dtype other than ``dtype``.

    - ``length``: how many positions there are. ``outputs``: the length of the last axis.
    - ``dtype``: the floating dtype of W and x.
    - ``generator``, ``seed``: where the numbers are drawn from, as in `Linear`.
    - ``init``: how W starts, an `Initialiser` of `bprop.nn.init`; by default normal with mean 0 and deviation 0.02.

    **Source:** Gehring, Auli, Grangier, Yarats & Dauphin (2017), Convolutional sequence to sequence learning, section
    3.1; Radford et al. (2019), Language models are unsupervised multitask learners (the deviation, in their code).

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.LearnedPositions(8, 4, seed=0)
    >>> layer, layer(bprop.ones((2, 5, 4), dtype="float32")).shape
    (LearnedPositions(8 positions → 4, float32), (2, 5, 4))
    """

    answers = (0,)
    pytorch_names = {"W": "weight"}  # noqa: RUF012 - never written to

    def __init__(
        self,
        length: int,
        outputs: int,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
    ) -> None:
        shape = integer(self, "length", length), integer(self, "outputs", outputs)
        dtype = floating(self, dtype)
        draw = generator_for("LearnedPositions", generator, seed)
        with allocating(self, "W", shape, dtype):
            self.W = parameter((normal(deviation=0.02) if init is None else init)(shape, dtype, draw))

    def fprop(self, x: Any, start: Any = 0) -> Array:
        W = self.W
        length, outputs = W.shape
        x, start = _sequence(self, self.check_dtype(x, "W"), outputs), _start(self, start)
        count = x.shape[-2]
        if not isinstance(start, int):
            positions = start + arange(count)
            positions = where(positions < 0, length, positions)  # below zero `take` would count from the end
            return astype(x, W.dtype) + take(W, positions, axis=0)
        if start < 0 or start + count > length:
            raise IndexingError(
                f"LearnedPositions: positions {start} … {start + count - 1} of x, shape {x.shape}: positions are 0 … "
                f"{length - 1}"
            )
        return astype(x, W.dtype) + W[start : start + count]

    def example(self) -> tuple[Any, ...]:
        """Return the shape of two sequences."""
        length, outputs = self.W.shape
        return ((2, length, outputs),)

    def describe(self) -> str:
        W = self.__dict__["_cells"]["W"].array
        return f"{W.shape[0]} positions → {W.shape[1]}, {W.dtype}"


def rotary(x: Any, positions: Any = None, *, base: float = 10000.0, interleaved: bool = True) -> Array:
    """Return x with every pair of entries turned by an angle that grows with the position: t · base^(-2i/n) for pair i.

    The product of a query at t and a key at u, both turned, depends on t - u alone: attention then knows how far apart
    two entries are. A rotation keeps lengths; its derivative is the rotation back.

    - ``x``: (..., T, n), real, n even.
    - ``positions``: t, numbers of shape (T,), or any that broadcasts to (..., T); 0 … T - 1 if left out.
    - ``base``: a number > 0.
    - ``interleaved``: whether the pairs are entries 2i and 2i + 1, as in the article; else i and i + n/2, as in GPT-NeoX
      and Llama.

    Integers give float64. Raises `ShapeError` where n is odd, `DTypeError` where x is complex.

    **Source:** Su, Lu, Pan, Murtadha, Wen & Liu (2021), RoFormer: enhanced transformer with rotary position embedding,
    eq. 15 and 34.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.rotary(bprop.asarray([[1.0, 0.0], [1.0, 0.0]]))
    Array([[1.        , 0.        ],
           [0.54030231, 0.84147098]])
    """
    x = asarray(x)
    if x.ndim < 2 or x.shape[-1] % 2:
        raise ShapeError(
            f"rotary: x has shape {x.shape}, it should be (..., T, n) with n even: the entries are turned in pairs"
        )
    if x.dtype.kind == "c":
        raise DTypeError(f"rotary: x is real, not {x.dtype}")
    x = x if x.dtype.kind == "f" else astype(x, np.float64)
    count, width = x.shape[-2:]
    positions = arange(count) if positions is None else asarray(positions)
    angles = _angles(positions, width, number("rotary", "base", base, 0, open_low=True))
    c, s = astype(cos(angles), x.dtype), astype(sin(angles), x.dtype)
    if interleaved:
        first, second = x[..., 0::2], x[..., 1::2]
        return reshape(stack([first * c - second * s, first * s + second * c], axis=-1), x.shape)
    first, second = x[..., : width // 2], x[..., width // 2 :]
    return concat([first * c - second * s, first * s + second * c], axis=-1)


class RotaryPositions(Module):
    """y = `rotary` of x: every pair of entries turned by an angle that grows with the position. For queries and keys.

    ``x``, ``y``: (..., T, n), floating, n even; ``fprop(x, positions)`` takes positions as `rotary` does. ∂E/∂x is ∂E/∂y
    turned back.

    - ``base``, ``interleaved``: as in `rotary`, which raises for other shapes.

    **Source:** Su, Lu, Pan, Murtadha, Wen & Liu (2021), RoFormer, eq. 15 and 34.

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.RotaryPositions()
    >>> layer.fprop(bprop.asarray([[1.0, 0.0]]), [1]), layer.bprop([[0.0, 1.0]])
    (Array([[0.54030231, 0.84147098]]), Array([[0.84147098, 0.54030231]]))
    """

    answers = (0,)

    def __init__(self, base: float = 10000.0, interleaved: bool = True) -> None:
        self.base = number(self, "base", base, 0, open_low=True)
        self.interleaved = flag(self, "interleaved", interleaved)

    def fprop(self, x: Any, positions: Any = None) -> Array:
        return rotary(x, positions, base=self.base, interleaved=self.interleaved)

    def example(self) -> tuple[Any, ...]:
        """Return the shape of two short sequences."""
        return ((2, 3, 4),)

    def describe(self) -> str:
        options = [] if self.base == 10000 else [f"base={self.base:g}"]
        return ", ".join([*options, *([] if self.interleaved else ["halves"])])


__all__ = ["LearnedPositions", "RotaryPositions", "SinusoidalPositions", "rotary"]
