"""Initial values of parameters: distributions, and the deviations that suit a layer. This file is `bprop.nn.init`.

``nn.init.he_normal()`` is an `Initialiser`: given to a layer, ``nn.Linear(4, 3, init=nn.init.he_normal())``, or applied
to a shape or to an existing parameter, ``layer.W = nn.init.orthogonal()(layer.W)``. The numbers are drawn from the
stream described at `bprop.nn.seed`, or from a given generator or seed: the same bits on every run.

The fans of a weight of shape (outputs, inputs, …) are inputs · … and outputs · …: how many terms a sum has in the
forward and in the backward pass. What PyTorch calls Xavier and Kaiming is called Glorot and He here, by their family
names.
"""

from collections.abc import Callable
from math import erfc, sqrt
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..core.error import ArgumentError, DTypeError, ShapeError
from ..core.interpreter import EVALUATE, using
from ..core.number import number, real
from ..core.shape import normalise_shape, size_of
from ..core.value import Array, asarray
from ..ops import Generator
from .default_generator import generator_for
from .setting import allocating

Shape = tuple[int, ...]
Draw = Callable[[Generator, Shape], Any]
Mode = Literal["fan_in", "fan_out"]


class Initialiser:
    """A rule for initial values: applied to a shape, or to an array whose shape and dtype are taken, it gives an `Array`.

    - ``name``: what ``repr`` shows.
    - ``draw``: a function of a generator and a shape that returns the values, an array of any dtype.

    >>> from bprop import nn
    >>> constant = nn.init.constant(0.5)
    >>> constant
    constant(0.5)
    >>> constant((2, 2))
    Array([[0.5, 0.5],
           [0.5, 0.5]], dtype=float32)
    """

    def __init__(self, name: str, draw: Draw) -> None:
        self.name = name
        self.draw = draw

    def __repr__(self) -> str:
        return self.name

    def __call__(
        self, like: Any, dtype: DTypeLike | None = None, generator: Generator | None = None, seed: int | None = None
    ) -> Array:
        """Return initial values, an array of the shape and dtype that are asked for.

        Raises `ShapeError` where the rule does not fit the shape, `DTypeError` for a dtype that is not floating.

        - ``like``: a shape (a tuple, or an integer for one axis), or an array whose shape and dtype are taken.
        - ``dtype``: a floating dtype; by default that of the array, for a shape float32.
        - ``generator``, ``seed``: where the numbers are drawn from: a `bprop.Generator`, or the seed of a fresh one.
          Without either they come from the stream described at `bprop.nn.seed`.
        """
        kind = self.name.partition("(")[0]
        shape = like.shape if isinstance(like, Array | np.ndarray) else normalise_shape(kind, like)
        result_dtype = np.dtype(dtype if dtype is not None else getattr(like, "dtype", np.float32))
        if result_dtype.kind != "f":
            raise DTypeError(f"{kind}: dtype is a floating dtype, not {result_dtype}")
        # not traced, even if the parameter is made under a transform
        with using(EVALUATE), allocating(kind, "an array", shape, result_dtype):
            return asarray(self.draw(generator_for(kind, generator, seed), shape), dtype=result_dtype)


# --- by the fans ---
def fans(shape: Shape) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a weight of shape (outputs, inputs, …): inputs · … and outputs · ….

    Raises `ShapeError` for fewer than two axes and for axes of length 0.

    - ``shape``: a tuple of at least two positive integers.

    >>> from bprop import nn
    >>> nn.init.fans((8, 3, 5, 5))
    (75, 200)
    """
    if len(shape) < 2 or 0 in shape:
        raise ShapeError(
            f"fans of shape {shape}: a weight has at least two axes, (outputs, inputs, …), and entries; start others "
            f"with init.zeros(), init.constant(…) or init.normal(…)"
        )
    return size_of(shape[1:]), shape[0] * size_of(shape[2:])


def gain(nonlinearity: str = "linear", negative_slope: float = 0.01) -> float:
    """Return the factor by which weights before a nonlinearity are larger, so that it does not shrink the activities.

    1 for linear and sigmoid, 5/3 for tanh, √2 for relu, √(2 / (1 + negative_slope²)) for leaky_relu, 3/4 for selu.

    - ``nonlinearity``: "linear", "sigmoid", "tanh", "relu", "leaky_relu" or "selu"; any other raises `ArgumentError`.
    - ``negative_slope``: the slope of "leaky_relu", a finite number.

    **Source:** He, Zhang, Ren & Sun (2015), Delving deep into rectifiers, eq. 10, 15; PyTorch, ``calculate_gain``.

    >>> from bprop import nn
    >>> nn.init.gain("relu") ** 2
    2.0000000000000004
    """
    number("gain", "negative_slope", negative_slope)
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": sqrt(2.0),
        "leaky_relu": sqrt(2 / (1 + negative_slope**2)),
        "selu": 3 / 4,
    }
    if not isinstance(nonlinearity, str) or nonlinearity not in gains:
        raise ArgumentError(f"gain: nonlinearity is one of {', '.join(gains)}, not {nonlinearity!r}")
    return gains[nonlinearity]


def glorot_uniform(gain: float = 1.0) -> Initialiser:
    """Uniform in ±gain √(6 / (fan_in + fan_out)): variance gain² · 2 / (fan_in + fan_out). What `Linear` starts with.

    - ``gain``: a factor of the deviation, ≥ 0, such as `gain` returns.

    **Source:** Glorot & Bengio (2010), Understanding the difficulty of training deep feedforward networks, eq. 16.

    >>> from bprop import nn
    >>> nn.init.glorot_uniform()((2, 3)).shape
    (2, 3)
    """
    number("glorot_uniform", "gain", gain, 0)
    return Initialiser(_named("glorot_uniform", gain=gain), lambda g, s: _symmetric(g, s, gain * (6 / _both(s)) ** 0.5))


def glorot_normal(gain: float = 1.0) -> Initialiser:
    """Normal with variance gain² · 2 / (fan_in + fan_out).

    - ``gain``: a factor of the deviation, ≥ 0, such as `gain` returns.

    **Source:** Glorot & Bengio (2010), Understanding the difficulty of training deep feedforward networks, eq. 12.

    >>> from bprop import nn
    >>> nn.init.glorot_normal()((2, 3)).shape
    (2, 3)
    """
    number("glorot_normal", "gain", gain, 0)
    return Initialiser(
        _named("glorot_normal", gain=gain), lambda g, s: g.normal(s, deviation=gain * (2 / _both(s)) ** 0.5)
    )


def he_uniform(mode: Mode = "fan_in", nonlinearity: str = "relu", negative_slope: float = 0.01) -> Initialiser:
    """Uniform with variance `gain`² / fan: ±gain √(3 / fan), for layers before a rectifier.

    Raises `ArgumentError` for another mode or nonlinearity.

    - ``mode``: "fan_in" keeps the variance of the activities, "fan_out" that of their error derivatives.
    - ``nonlinearity``, ``negative_slope``: what follows the layer, see `gain`.

    **Source:** He, Zhang, Ren & Sun (2015), Delving deep into rectifiers, eq. 10, 14, 15.

    >>> from bprop import nn
    >>> nn.init.he_uniform()((2, 3)).shape
    (2, 3)
    """
    factor, fan = gain(nonlinearity, negative_slope), _fan("he_uniform", mode)
    name = _named("he_uniform", mode=mode, nonlinearity=nonlinearity)
    return Initialiser(name, lambda g, s: _symmetric(g, s, factor * (3 / fan(s)) ** 0.5))


def he_normal(mode: Mode = "fan_in", nonlinearity: str = "relu", negative_slope: float = 0.01) -> Initialiser:
    """Normal with variance `gain`² / fan, for layers before a rectifier.

    - ``mode``: "fan_in" keeps the variance of the activities, "fan_out" that of their error derivatives.
    - ``nonlinearity``, ``negative_slope``: what follows the layer, see `gain`.

    **Source:** He, Zhang, Ren & Sun (2015), Delving deep into rectifiers, eq. 10, 14, 15.

    >>> from bprop import nn
    >>> nn.Linear(4, 3, init=nn.init.he_normal())
    Linear(4 → 3, float32)
    """
    factor, fan = gain(nonlinearity, negative_slope), _fan("he_normal", mode)
    name = _named("he_normal", mode=mode, nonlinearity=nonlinearity)
    return Initialiser(name, lambda g, s: g.normal(s, deviation=factor * (1 / fan(s)) ** 0.5))


def lecun_uniform() -> Initialiser:
    """Uniform in ±√(3 / fan_in): variance 1 / fan_in.

    **Source:** LeCun, Bottou, Orr & Müller (1998), Efficient BackProp, section 4.6.

    >>> from bprop import nn
    >>> nn.init.lecun_uniform()((2, 3)).shape
    (2, 3)
    """
    return Initialiser("lecun_uniform()", lambda g, s: _symmetric(g, s, (3 / fans(s)[0]) ** 0.5))


def lecun_normal() -> Initialiser:
    """Normal with variance 1 / fan_in: what `SELU` asks for.

    **Source:** LeCun, Bottou, Orr & Müller (1998), Efficient BackProp, section 4.6.

    >>> from bprop import nn
    >>> nn.init.lecun_normal()((2, 3)).shape
    (2, 3)
    """
    return Initialiser("lecun_normal()", lambda g, s: g.normal(s, deviation=(1 / fans(s)[0]) ** 0.5))


def orthogonal(gain: float = 1.0) -> Initialiser:
    """gain times a matrix with orthonormal rows, or columns where there are fewer of those, uniform among all such.

    A weight of more axes is taken as (outputs, the rest). Raises `ShapeError` for fewer than two axes.

    - ``gain``: a factor of the deviation, ≥ 0, such as `gain` returns.

    **Source:** Saxe, McClelland & Ganguli (2014), Exact solutions to the nonlinear dynamics of learning; Mezzadri
    (2007), How to generate random matrices from the classical compact groups, for the signs.

    >>> import numpy as np
    >>> from bprop import nn
    >>> W = nn.init.orthogonal()((2, 3), dtype="float64").numpy()
    >>> bool(np.allclose(W @ W.T, np.eye(2)))
    True
    """
    number("orthogonal", "gain", gain, 0)

    def draw(generator: Generator, shape: Shape) -> NDArray[Any]:
        fans(shape)
        rows, columns = shape[0], size_of(shape[1:])
        long, short = max(rows, columns), min(rows, columns)
        q, r = np.linalg.qr(np.asarray(generator.normal((long, short))))
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # the decomposition's own signs would not be uniform
        return gain * (q if rows >= columns else q.T).reshape(shape)

    return Initialiser(_named("orthogonal", gain=gain), draw)


# --- whatever the shape ---
def constant(value: float) -> Initialiser:
    """Every entry ``value``.

    - ``value``: a finite number.

    **Source:** PyTorch, ``constant_``.

    >>> from bprop import nn
    >>> nn.init.constant(2.0)(2)
    Array([2., 2.], dtype=float32)
    """
    number("constant", "value", value)
    return Initialiser(f"constant({value})", lambda g, s: np.full(s, float(value)))


def zeros() -> Initialiser:
    """Every entry 0: for biases. A whole layer of zeros never learns, since all its units stay alike.

    **Source:** Glorot & Bengio (2010), section 4.2.1.

    >>> from bprop import nn
    >>> nn.init.zeros()(2)
    Array([0., 0.], dtype=float32)
    """
    return Initialiser("zeros()", lambda g, s: np.zeros(s))


def ones() -> Initialiser:
    """Every entry 1: for scales.

    **Source:** PyTorch, ``ones_``.

    >>> from bprop import nn
    >>> nn.init.ones()(2)
    Array([1., 1.], dtype=float32)
    """
    return Initialiser("ones()", lambda g, s: np.ones(s))


def uniform(low: float = 0.0, high: float = 1.0) -> Initialiser:
    """Uniform in [low, high).

    - ``low``, ``high``: finite numbers, low ≤ high, else `ArgumentError`.

    **Source:** PyTorch, ``uniform_``.

    >>> from bprop import nn
    >>> nn.init.uniform(-1, 1)((2, 3)).shape
    (2, 3)
    """
    if not number("uniform", "low", low) <= number("uniform", "high", high):
        raise ArgumentError(f"uniform: low is at most high, and both are finite, not {low!r} and {high!r}")
    return Initialiser(_named("uniform", low=low, high=high), lambda g, s: g.uniform(s, low=low, high=high))


def normal(mean: float = 0.0, deviation: float = 1.0) -> Initialiser:
    """Normal with the given mean and standard deviation.

    - ``mean``: a finite number. ``deviation``: a positive and finite number. Else `ArgumentError`.

    **Source:** PyTorch, ``normal_``.

    >>> from bprop import nn
    >>> nn.init.normal(deviation=0.02)((2, 3)).shape
    (2, 3)
    """
    number("normal", "mean", mean)
    number("normal", "deviation", deviation, 0, open_low=True)
    name = _named("normal", mean=mean, deviation=deviation)
    return Initialiser(name, lambda g, s: g.normal(s, mean=mean, deviation=deviation))


def truncated_normal(mean: float = 0.0, deviation: float = 1.0, low: float = -2.0, high: float = 2.0) -> Initialiser:
    """Normal with mean and deviation, restricted to [low, high]: numbers, not multiples of the deviation.

    By inversion, one uniform number an entry: y = mean + deviation · Φ⁻¹(u) for u uniform between Φ of the two ends.
    The deviation of what is drawn is smaller than ``deviation`` (0.88 of it for ±2 deviations). Raises `ArgumentError`
    where low is not less than high.

    - ``mean``, ``deviation``: those of the normal distribution, a finite and a positive finite number.
    - ``low``, ``high``: the ends, numbers, low < high. They may be infinite.

    **Source:** PyTorch, ``trunc_normal_``; Devroye (1986), Non-uniform random variate generation, section II.2.

    >>> from bprop import nn
    >>> bool((abs(nn.init.truncated_normal()((100,))) <= 2).numpy().all())
    True
    """
    number("truncated_normal", "deviation", deviation, 0, open_low=True)
    number("truncated_normal", "mean", mean)
    bottom, top = real(low), real(high)
    if bottom is None or top is None or not bottom < top:
        raise ArgumentError(f"truncated_normal: low is less than high, not {low!r} and {high!r}")
    standard = NormalDist()
    a, b = (low - mean) / deviation, (high - mean) / deviation
    sign = -1.0 if a > 0 else 1.0  # for large arguments Φ rounds to 1: the mirror image is inverted instead
    first, last = sorted((sign * a, sign * b))

    def draw(generator: Generator, shape: Shape) -> NDArray[Any]:
        u = np.asarray(generator.uniform(shape)).ravel()
        start, end = (0.5 * erfc(-x / sqrt(2)) for x in (first, last))
        p = np.clip(start + u * (end - start), 1e-300, 1 - 2.0**-53)
        z = np.array([standard.inv_cdf(probability) for probability in p.tolist()])
        return np.clip(mean + deviation * sign * z, low, high).reshape(shape)

    return Initialiser(_named("truncated_normal", mean=mean, deviation=deviation, low=low, high=high), draw)


def _symmetric(generator: Generator, shape: Shape, bound: float) -> Array:
    return generator.uniform(shape, low=-bound, high=bound, dtype=np.float64)


def _both(shape: Shape) -> int:
    fan_in, fan_out = fans(shape)
    return fan_in + fan_out


def _fan(name: str, mode: Mode) -> Callable[[Shape], int]:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"{name}: mode is 'fan_in' or 'fan_out', not {mode!r}")
    return lambda shape: fans(shape)[mode == "fan_out"]


def _named(name: str, **settings: Any) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"


__all__ = [
    "Initialiser",
    "constant",
    "fans",
    "gain",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "zeros",
]
