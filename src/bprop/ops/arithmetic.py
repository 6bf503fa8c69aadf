"""Arithmetic: add, multiply, divide, powers. Each op is its formula and one partial derivative per input."""

from math import copysign, inf
from typing import Any

import numpy as np

from ..core.dtype import WEAK
from ..core.error import DTypeError
from ..core.family import Elementwise
from ..core.function import NUMPY, function, publish
from ..core.op import array, shape_of
from ..core.value import Array
from .creation import zeros
from .exponential import log
from .selection import astype, where
from .special import in_double

__all__ = [
    "abs",
    "add",
    "cbrt",
    "conj",
    "divide",
    "floor_divide",
    "hypot",
    "imag",
    "multiply",
    "negative",
    "positive",
    "pow",
    "real",
    "reciprocal",
    "remainder",
    "sign",
    "sqrt",
    "square",
    "subtract",
]

_ARITHMETIC = """

    Shapes broadcast and dtypes promote as in NumPy 2 (Python scalars are weak). Raises `ShapeError` naming both shapes
    and the axis.

    **Source:** Python Array API standard 2024.12, ``{name}``.

    >>> import bprop
    >>> {example}
    """

add = Elementwise(
    "add", np.add, 1, 1,
    identity=((0, -0.0), (1, -0.0)), role="sum", text="{0} + {1}", latex="{0} + {1}", level=1,
    doc="y = x1 + x2; ∂y/∂x1 = ∂y/∂x2 = 1." + _ARITHMETIC.format(
        name="add", example="bprop.add(bprop.ones(2), 1)\n    Array([2., 2.])"),
)  # fmt: skip

subtract = Elementwise(
    "subtract", np.subtract, 1, -1, kind="number",
    identity=((1, 0),), role="difference", text="{0} - {1}", latex="{0} - {1}", level=1,
    doc="y = x1 - x2; ∂y/∂x1 = 1, ∂y/∂x2 = -1." + _ARITHMETIC.format(
        name="subtract", example="bprop.subtract(bprop.ones(2), 1)\n    Array([0., 0.])"),
)  # fmt: skip

multiply = Elementwise(
    "multiply", np.multiply, lambda y, x1, x2: x2, lambda y, x1, x2: x1,
    identity=((0, 1), (1, 1)), absorbing=0, role="product", text="{0} * {1}", level=2,
    latex=lambda x1, x2: r"{0} \odot {1}" if shape_of(x1) and shape_of(x2) else r"{0} \, {1}",
    doc="y = x1 · x2; ∂y/∂x1 = x2, ∂y/∂x2 = x1." + _ARITHMETIC.format(
        name="multiply", example="bprop.multiply(bprop.ones(2), 3)\n    Array([3., 3.])"),
)  # fmt: skip


def _inverse(x: Any) -> Any:
    """1/x, which for a Python 0 is infinite as for an array's, where Python would raise."""
    return copysign(inf, x) if type(x) in WEAK and x == 0 else 1 / x


divide = Elementwise(
    "divide", np.divide, lambda y, x1, x2: _inverse(x2), lambda y, x1, x2: -y / x2,
    kind="float", identity=((1, 1),), role="quotient", text="{0} / {1}", latex=r"\frac{{{0}}}{{{1}}}", level=2,
    doc="y = x1 / x2; ∂y/∂x1 = 1/x2, ∂y/∂x2 = -y/x2. Integers give float64." + _ARITHMETIC.format(
        name="divide", example="bprop.divide(bprop.ones(2), 4)\n    Array([0.25, 0.25])"),
)  # fmt: skip

negative = Elementwise(
    "negative", np.negative, -1, kind="number",
    role="negation", text="-{0}", latex="-{0}", level=3,
    doc="y = -x; ∂y/∂x = -1." + _ARITHMETIC.format(
        name="negative", example="bprop.negative(bprop.ones(2))\n    Array([-1., -1.])"),
)  # fmt: skip


def _normal(y: Any, x1: Any) -> Any:
    """Where y = x1^x2 is a normal number that can be divided by x1."""
    return (np.abs(y) >= float(np.finfo(y.dtype).tiny)) & (np.abs(y) < inf) & (x1 != 0)


def _lower_power(x1: Any, x2: Any, n: int) -> Any:
    """x1^x2 / x1ⁿ: the difference x2 - n is rounded, and the power magnifies that (40 units in float32)."""
    y = z = x1**x2
    for _ in range(n):
        z = z / x1
    return np.where(_normal(y, x1), z, x1 ** (x2 - n))


def _lower_power_value(x1: Any, x2: Any, n: int) -> Any:
    y = z = x1**x2
    for _ in range(n):
        z = z / x1
    normal = _normal(y, x1)
    return z if normal.all() else np.where(normal, z, x1 ** (x2 - n))


def _lower_power_base(x1: Any, x2: Any, n: int) -> Any:
    """(x2 - n) x1^(x2-n-1), the factor of its own: that of a quotient's rule is a difference that cancels near x2 = n."""
    lower = lower_power(x1, x2, n=n + 1)
    slope = (x2 - n if n else x2) * lower
    if type(x2) in WEAK:  # never n, which is a product
        return slope
    # x1 ** 0 is 1 everywhere; where x2 begins to differ from n at x1 = 0, the slope becomes infinite, as that of the root
    return where((abs(lower) == inf) & (x2 == n), sqrt(x2 - n), slope)


def _lower_power_exponent(y: Any, x1: Any, x2: Any, n: int) -> Any:
    return where(_normal(x1**x2, x1), y * log(x1), power_log(x1, x2 - n, n=1))


lower_power: Elementwise = Elementwise(
    "lower_power", _lower_power_value, lambda y, x1, x2, n: _lower_power_base(x1, x2, n), _lower_power_exponent,
    kind="float", native=_lower_power, step=_lower_power, domain=((0, inf), (-inf, inf)), level=4,
    text=lambda x1, x2, n: f"{{0}} ** ({{1}} - {n})", latex=lambda x1, x2, n: f"{{0}}^{{{{{{1}} - {n}}}}}",
    examples=lambda draw: [
        ((draw(*shape1, domain=(0, inf)), draw(*shape2)), {"n": n})
        for shape1, shape2, n in (((), (), 1), ((2, 3), (2, 3), 1), ((3, 1), (1, 4), 2), ((0, 3), (0, 3), 3))
    ],
    doc="x1^(x2-n) for n ≥ 1: a factor of the derivatives of `pow` with respect to its base, right also for x2 near n.",
)  # fmt: skip


def _pow_base(y: Any, x1: Any, x2: Any) -> Any:
    # every case reads x1 and never y: what the backward pass keeps is found once for all exponents
    if type(x2) not in WEAK:
        return _lower_power_base(x1, x2 if x2.dtype.kind == "f" else astype(x2, dtype=y.dtype), 0)
    if x2 == 0:
        return where(x1 == x1, 0, x1)
    if float(2 * x2).is_integer():
        return 2 * x1 if x2 == 2 else x2 * x1 ** (x2 - 1)
    return _lower_power_base(x1, x2, 0)


def _pow_exponent(y: Any, x1: Any, x2: Any) -> Any:
    return where(y == 0, 0, y * log(x1)) if type(x1) in WEAK else power_log(x1, x2, n=1)


def _power_log(x1: Any, x2: Any, n: int) -> Any:
    # 0 ** x2 stays 0 for x2 > 0: the product 0 · log 0 has the limit 0
    y = z = x1**x2
    for _ in range(n):
        z = z * np.log(x1)
    return np.where(y == 0, 0, z)


def _power_log_base(y: Any, x1: Any, x2: Any, n: int) -> Any:
    """x1^(x2-1) (log x1)ⁿ⁻¹ (x2 log x1 + n); at 0 and ∞ one of both terms is all there is, 0 or infinite."""
    half, logarithm = (
        x1 ** (0.5 * x2),
        log(x1),
    )  # twice half the power, lest it leaves the range before the product does
    factor = x2 * logarithm + n
    for _ in range(n - 1):
        factor = factor * logarithm
    lower = power_log(x1, x2 - 1, n=n - 1) if n > 1 else x1 ** (x2 - 1)
    limit = where(x2 == 0, n * lower, x2 * power_log(x1, x2 - 1, n=n))
    return where((x1 == 0) | (x1 == inf), limit, (factor * half) * (half / x1))


power_log: Elementwise = Elementwise(
    "power_log", _power_log, _power_log_base, lambda y, x1, x2, n: power_log(x1, x2, n=n + 1),
    kind="float", native=_power_log, step=_power_log, domain=((0, inf), (-inf, inf)), level=2,
    text=lambda x1, x2, n: "{0} ** {1} * log({0})" + (f" ** {n}" if n > 1 else ""),
    latex=lambda x1, x2, n: r"{0}^{{{1}}} \, \log" + (f"^{{{{{n}}}}}" if n > 1 else "") + "({0})",
    examples=lambda draw: [
        ((draw(*shape1, domain=(0, inf)), draw(*shape2)), {"n": n})
        for shape1, shape2, n in (((), (), 1), ((2, 3), (2, 3), 1), ((3, 1), (1, 4), 2), ((0, 3), (0, 3), 3))
    ],
    doc="x1^x2 (log x1)ⁿ for n ≥ 1, and 0 where the power is 0: the derivatives of `pow` with respect to its exponent.",
)  # fmt: skip


def _pow(x1: Any, x2: Any) -> Any:
    if type(x2) in WEAK and x2 == 2 and type(x1) is np.ndarray and x1.dtype.kind != "b":
        return np.square(x1)  # numpy.power takes the general path for a literal 2, 20 times slower
    if np.ndim(x2) == 0 and x2 == 0.5 and getattr(x1, "dtype", None) in (np.float32, np.float64):
        y = np.power(
            x1, x2
        )  # a square root, which of -0 and -∞ is -0 and NaN: C's pow and a power by an array say 0 and ∞
        return np.where((x1 == 0) | (x1 == -inf), np.abs(x1), y)
    return np.power(x1, x2)


pow = Elementwise(
    "pow", _pow, _pow_base, _pow_exponent, domain=((0, inf), (-inf, inf)),
    kind="number", identity=((1, 1),), role="power", text="{0} ** {1}", latex="{0}^{{{1}}}", level=4,
    doc="y = x1 ^ x2; ∂y/∂x1 = x2 · x1^(x2-1), ∂y/∂x2 = y · log x1 (0 where y = 0)." + _ARITHMETIC.format(
        name="pow", example="bprop.pow(bprop.asarray([2.0, 3.0]), 2)\n    Array([4., 9.])"),
)  # fmt: skip

pow.reads_scalars = True  # a constant exponent has a derivative of its own at 0

sqrt = Elementwise(
    "sqrt", np.sqrt, lambda y, x: 0.5 / y,
    kind="float", domain=(0, inf), latex=r"\sqrt{{{0}}}",
    doc="y = √x; ∂y/∂x = 1/(2y), infinite at 0. NaN for negative x." + _ARITHMETIC.format(
        name="sqrt", example="bprop.sqrt(bprop.asarray([4.0, 9.0]))\n    Array([2., 3.])"),
)  # fmt: skip

square = Elementwise(
    "square", np.square, lambda y, x: 2 * x,
    kind="number", native=lambda x: x * x, text="{0} ** 2", latex="{0}^{{2}}", level=4,
    doc="y = x²; ∂y/∂x = 2x." + _ARITHMETIC.format(
        name="square", example="bprop.square(bprop.asarray([2.0, 3.0]))\n    Array([4., 9.])"),
)  # fmt: skip

sign = Elementwise(
    "sign", np.sign, None, kind="number",
    native=lambda x: where(x != x, x, (x > 0) * 1 - (x < 0) * 1),
    step=lambda x: np.sign(x.real), latex=r"\operatorname{{sign}}({0})",
    doc="y = -1, 0 or 1, the sign of x, 0 also for -0; NaN stays NaN; no derivative." + _ARITHMETIC.format(
        name="sign", example="bprop.sign(bprop.asarray([-2.0, 0.0, 3.0]))\n    Array([-1.,  0.,  1.])"),
)  # fmt: skip

abs = Elementwise(
    "abs", np.abs, lambda y, x: sign(x),
    step=lambda x: np.where(x.real < 0, -x, x), latex=r"\left|{0}\right|", text="abs({0})",
    doc="y = \\|x\\|; ∂y/∂x = sign x, with 0 at the kink x = 0." + _ARITHMETIC.format(
        name="abs", example="bprop.abs(bprop.asarray([-2.0, 3.0]))\n    Array([2., 3.])"),
)  # fmt: skip

cbrt = Elementwise(
    "cbrt", in_double(np.cbrt), lambda y, x: square(1 / y) / 3,
    kind="float", step=lambda z: np.where(z.real < 0, -((-z) ** (1 / 3)), z ** (1 / 3)), latex=r"\sqrt[3]{{{0}}}",
    doc="y = ∛x, of the sign of x; ∂y/∂x = 1/(3y²), infinite at 0." + _ARITHMETIC.format(
        name="cbrt", example="bprop.cbrt(bprop.asarray([-8.0, 27.0]))\n    Array([-2.,  3.])").replace(
        "Python Array API standard 2024.12, ``cbrt``", "C standard library, ``cbrt``"),
)  # fmt: skip


def _quotient_value(x1: Any, x2: Any) -> Any:
    return np.where(x2 == 0, 0, x1 / x2)


divide_no_nan = Elementwise(
    "divide_no_nan", _quotient_value, lambda y, x1, x2: 1 / x2, lambda y, x1, x2: -y / x2,
    kind="float", native=_quotient_value, step=lambda z1, z2: np.where(z2 == 0, 0, z1 / z2),
    text="{0} / {1}", latex=r"\frac{{{0}}}{{{1}}}", level=2,
    doc="""y = x1 / x2, and 0 where x2 is 0, with the derivatives of `divide`: infinite or NaN there.

    A norm has the derivative x / y, and at its kink 0, by convention. A second derivative it has not: a constant 0 would
    say that it is 0, which for a square of the norm is wrong.

    **Source:** TensorFlow, ``math.divide_no_nan``.
    """,
)  # fmt: skip


def _root_value(x: Any, p: float) -> Any:
    return np.sqrt(x) if p == 2 else x ** (1 / p)


kinked_root = Elementwise(
    "kinked_root", _root_value, lambda y, x, p: divide_no_nan(y, p * x),
    kind="float", native=lambda x, p: sqrt(x) if p == 2 else x ** (1 / p), step=_root_value, domain=(0, inf),
    text="{0} ** (1 / {p})", latex="{0}^{{1 / {p}}}", level=4,
    examples=lambda draw: [((draw(*shape, domain=(0, inf)),), {"p": p}) for shape in ((), (2, 3), (0, 3)) for p in (2, 3.0)],
    doc="The root of order p that makes a norm of a sum of powers: the derivative at 0 is 0, the second one NaN.",
)  # fmt: skip


def _cosine(x1: Any, x2: Any) -> Any:
    """x1 / r: of numbers half as large where r overflows, ±1 where x1 alone is infinite, 0 where r is 0."""
    r = np.hypot(x1, x2)
    half = (0.5 * x1) / np.hypot(0.5 * x1, 0.5 * x2)
    far = np.where((np.abs(x1) == inf) & (np.abs(x2) < inf), np.sign(x1), half)
    return np.where(r == inf, far, np.where(r == 0, 0, x1 / r))


def _cosine_value(x1: Any, x2: Any) -> Any:
    square, info = x1 * x1 + x2 * x2, np.finfo(x1.dtype)
    if np.all((square > info.tiny / info.eps) & (square < inf)):
        return x1 / np.sqrt(square)  # numpy.hypot is ten times slower
    return _cosine(x1, x2)


def _cosine_slope(y: Any, x1: Any, x2: Any) -> Any:
    sine = cosine(x2, x1)
    return sine * (sine * (1 / hypot(x1, x2)))


cosine: Elementwise = Elementwise(
    "cosine", _cosine_value, _cosine_slope, lambda y, x1, x2: -y * (cosine(x2, x1) * (1 / hypot(x1, x2))),
    kind="float", native=_cosine, step=lambda z1, z2: z1 / np.sqrt(z1 * z1 + z2 * z2),
    text="{0} / hypot({0}, {1})", latex=r"\frac{{{0}}}{{\sqrt{{{0}^{{2}} + {1}^{{2}}}}}}", level=2,
    doc="The derivative of `hypot`, x1/√(x1² + x2²): 0 at the tip of the cone, with a derivative of its own that is NaN there.",
)  # fmt: skip

hypot: Elementwise = Elementwise(
    "hypot", np.hypot, lambda y, x1, x2: cosine(x1, x2), lambda y, x1, x2: cosine(x2, x1),
    kind="float", step=lambda z1, z2: np.sqrt(z1 * z1 + z2 * z2), latex=r"\sqrt{{{0}^{{2}} + {1}^{{2}}}}",
    doc="y = √(x1² + x2²) without overflow; ∂y/∂x1 = x1/y, ∂y/∂x2 = x2/y, 0 where y = 0." + _ARITHMETIC.format(
        name="hypot", example="bprop.hypot(bprop.asarray([3.0, 5.0]), bprop.asarray([4.0, 12.0]))\n    Array([ 5., 13.])"),
)  # fmt: skip

floor_divide: Elementwise = Elementwise(
    "floor_divide", np.floor_divide, None, None,
    kind="number", step=lambda z1, z2: np.floor_divide(np.real(z1), np.real(z2)), text="{0} // {1}", level=2,
    latex=r"\left\lfloor {0} \;/\; {1} \right\rfloor",
    doc="y = ⌊x1 / x2⌋, as Python's //; no derivative. An integer divided by 0 gives 0." + _ARITHMETIC.format(
        name="floor_divide", example="bprop.floor_divide(bprop.asarray([7.0, -7.0]), 2)\n    Array([ 3., -4.])"),
)  # fmt: skip


def _remainder_step(z1: Any, z2: Any) -> Any:
    return z1 - z2 * np.floor_divide(np.real(z1), np.real(z2))


remainder = Elementwise(
    "remainder", np.remainder, 1, lambda y, x1, x2: -floor_divide(x1, x2),
    kind="number", step=_remainder_step, text="{0} % {1}", latex=r"{0} \;\mathrm{{mod}}\; {1}", level=2,
    examples=lambda draw: [  # x1 / x2 stays away from the jumps at the integers
        ((draw(*shape1), draw(*shape2, domain=(4, inf))), {})
        for shape1, shape2 in (((), ()), ((5,), (5,)), ((2, 3), (2, 3)), ((0, 3), (0, 3)), ((3, 1), (1, 4)), ((4,), (3, 1)))
    ] + [((draw(2, 3), 4.5), {}), ((2.5, draw(2, 3, domain=(4, inf))), {}), ((-2, draw(2, 3, domain=(4, inf))), {})],
    doc="y = x1 - x2 ⌊x1 / x2⌋, with the sign of x2, as Python's %; ∂y/∂x1 = 1, ∂y/∂x2 = -⌊x1 / x2⌋."
    + _ARITHMETIC.format(
        name="remainder", example="bprop.remainder(bprop.asarray([7.0, -7.0]), 4)\n    Array([3., 1.])"),
)  # fmt: skip

publish(add, subtract, multiply, divide, negative, pow, sqrt, square, sign, abs, cbrt, hypot, floor_divide, remainder)
NUMPY[np.fabs] = abs
NUMPY[np.divmod] = lambda x1, x2, /: (floor_divide(x1, x2), remainder(x1, x2))


@function(np.fmod)
def _fmod(x1: Any, x2: Any, /) -> Array:
    """y = x1 - x2 trunc(x1 / x2), with the sign of x1: NumPy's and C's remainder, exact as that of positive numbers."""
    x1 = array("fmod", x1)
    rest = remainder(where(x1 < 0, -x1, x1), abs(x2))  # abs has no derivative at 0, where fmod has
    return where(x1 < 0, -rest, rest)


@function(np.reciprocal)
def reciprocal(x: Any, /) -> Array:
    """y = 1 / x; ∂y/∂x = -1/x². Integers give float64.

    **Source:** Python Array API standard 2024.12, ``reciprocal``.

    >>> import bprop
    >>> bprop.reciprocal(bprop.asarray([2.0, 4.0]))
    Array([0.5 , 0.25])
    """
    y: Array = divide(1, array("reciprocal", x))
    return y


@function(np.positive)
def positive(x: Any, /) -> Array:
    """y = x, of any dtype but bool, for which `DTypeError` is raised.

    **Source:** Python Array API standard 2024.12, ``positive``.

    >>> import bprop
    >>> bprop.positive(bprop.asarray([1.0, -2.0]))
    Array([ 1., -2.])
    """
    x = array("positive", x)
    if x.dtype.kind == "b":
        raise DTypeError("positive: bool is no number here: convert with .astype(int) or .astype(float)")
    return x


# --- complex numbers: all arrays are real ---
@function(np.conj)
def conj(x: Any, /) -> Array:
    """y = x, the complex conjugate of a real array.

    **Source:** Python Array API standard 2024.12, ``conj``.

    >>> import bprop
    >>> bprop.conj(bprop.asarray([1.0, -2.0]))
    Array([ 1., -2.])
    """
    return array("conj", x)


@function(np.real)
def real(x: Any, /) -> Array:
    """y = x, the real part of a real array.

    **Source:** Python Array API standard 2024.12, ``real``.

    >>> import bprop
    >>> bprop.real(bprop.asarray([1.0, -2.0]))
    Array([ 1., -2.])
    """
    return array("real", x)


@function(np.imag)
def imag(x: Any, /) -> Array:
    """y = 0, the imaginary part of a real array: zeros of its shape and dtype.

    **Source:** Python Array API standard 2024.12, ``imag``.

    >>> import bprop
    >>> bprop.imag(bprop.asarray([1.0, -2.0]))
    Array([0., 0.])
    """
    x = array("imag", x)
    return zeros(x.shape, dtype=x.dtype)
