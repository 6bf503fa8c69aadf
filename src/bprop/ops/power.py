"""Powers and roots: pow, square, sqrt, cbrt, hypot, and what their derivatives are made of."""

from math import inf
from typing import Any

import numpy as np

from ..core.dtype import WEAK
from ..core.family import Elementwise
from ..core.function import publish
from .arithmetic import ELEMENTWISE_DOC, abs, divide_no_nan
from .exponential import log
from .selection import astype, where
from .special import in_double

__all__ = ["cbrt", "hypot", "pow", "sqrt", "square"]


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
    kind="float", native=_lower_power, complex_step=_lower_power, domain=((0, inf), (-inf, inf)), level=4,
    text=lambda x1, x2, n: f"{{0}} ** ({{1}} - {n})", latex=lambda x1, x2, n: f"{{0}}^{{{{{{1}} - {n}}}}}",
    examples=lambda draw: [
        ((draw(*shape1, domain=(0, inf)), draw(*shape2)), {"n": n})
        for shape1, shape2, n in (((), (), 1), ((2, 3), (2, 3), 1), ((3, 1), (1, 4), 2), ((0, 3), (0, 3), 3))
    ],
    doc="x1^(x2-n) for n ≥ 1: a factor of the derivatives of `pow` with respect to its base, right also for x2 near n.",
)  # fmt: skip


def _pow_base(y: Any, x1: Any, x2: Any) -> Any:
    # every case reads x1 and never y: what the backward pass keeps is found once for all exponents
    if y.dtype.kind == "c":
        return _complex_pow_base(x1, x2)
    if type(x2) not in WEAK:
        return _lower_power_base(x1, x2 if x2.dtype.kind == "f" else astype(x2, dtype=y.dtype), 0)
    if x2 == 0:
        return where(x1 == x1, 0, x1)
    if float(2 * x2).is_integer():
        return 2 * x1 if x2 == 2 else x2 * x1 ** (x2 - 1)
    return _lower_power_base(x1, x2, 0)


def _complex_pow_base(x1: Any, x2: Any) -> Any:
    """x2 · x1^(x2-1); where x2 is 0 it is 0, which the power at x1 = 0 would make NaN."""
    if type(x2) in WEAK:
        return x2 * x1 ** (x2 - 1) if x2 else x1 * 0
    return where(x2 == 0, 0, x2 * x1 ** (x2 - 1))


def _pow_exponent(y: Any, x1: Any, x2: Any) -> Any:
    if y.dtype.kind == "c":  # what it reads of y, x1 and x2 is what the real cases read
        if type(x1) in WEAK:
            return where(y == 0, 0, y * log(complex(x1)))
        base = x1 if x1.dtype.kind == "c" else astype(x1, dtype=y.dtype)
        power = base**x2
        return where(power == 0, 0, power * log(base))
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
    kind="float", native=_power_log, complex_step=_power_log, domain=((0, inf), (-inf, inf)), level=2,
    text=lambda x1, x2, n: "{0} ** {1} * log({0})" + (f" ** {n}" if n > 1 else ""),
    latex=lambda x1, x2, n: r"{0}^{{{1}}} \, \log" + (f"^{{{{{n}}}}}" if n > 1 else "") + "({0})",
    examples=lambda draw: [
        ((draw(*shape1, domain=(0, inf)), draw(*shape2)), {"n": n})
        for shape1, shape2, n in (((), (), 1), ((2, 3), (2, 3), 1), ((3, 1), (1, 4), 2), ((0, 3), (0, 3), 3))
    ],
    doc="x1^x2 (log x1)ⁿ for n ≥ 1, and 0 where the power is 0: the derivatives of `pow` with respect to its exponent.",
)  # fmt: skip


def _pow(x1: Any, x2: Any) -> Any:
    is_square = x2 == 2 if type(x2) in WEAK else False
    if is_square and type(x1) is np.ndarray and (x1.dtype.kind == "f" or (type(x2) is int and x1.dtype.kind != "b")):
        return np.square(x1)  # numpy.power takes the general path for a literal 2, 20 times slower
    if np.ndim(x2) == 0 and x2 == 0.5 and getattr(x1, "dtype", None) in (np.float32, np.float64):
        y = np.power(
            x1, x2
        )  # a square root, which of -0 and -∞ is -0 and NaN: C's pow and a power by an array say 0 and ∞
        return np.where((x1 == 0) | (x1 == -inf), np.abs(x1), y)
    return np.power(x1, x2)


pow = Elementwise(
    "pow", _pow, _pow_base, _pow_exponent, domain=((0, inf), (-inf, inf)),
    kind="number", takes_complex=True, identity=((1, 1),), role="power", text="{0} ** {1}", latex="{0}^{{{1}}}", level=4,
    doc="y = x1 ^ x2; ∂y/∂x1 = x2 · x1^(x2-1), ∂y/∂x2 = y · log x1 (0 where y = 0)." + ELEMENTWISE_DOC.format(
        name="pow", example="bprop.pow(bprop.asarray([2.0, 3.0]), 2)\n    Array([4., 9.])"),
)  # fmt: skip
pow.reads_scalars = True  # a constant exponent has a derivative of its own at 0

sqrt = Elementwise(
    "sqrt", np.sqrt, lambda y, x: 0.5 / y,
    kind="float", takes_complex=True, domain=(0, inf), latex=r"\sqrt{{{0}}}",
    doc="y = √x; ∂y/∂x = 1/(2y), infinite at 0. NaN for negative x." + ELEMENTWISE_DOC.format(
        name="sqrt", example="bprop.sqrt(bprop.asarray([4.0, 9.0]))\n    Array([2., 3.])"),
)  # fmt: skip

square = Elementwise(
    "square", np.square, lambda y, x: 2 * x,
    kind="number", takes_complex=True, native=lambda x: x * x, role="square", text="{0} ** 2", latex="{0}^{{2}}", level=4,
    doc="y = x²; ∂y/∂x = 2x." + ELEMENTWISE_DOC.format(
        name="square", example="bprop.square(bprop.asarray([2.0, 3.0]))\n    Array([4., 9.])"),
)  # fmt: skip

cbrt = Elementwise(
    "cbrt", in_double(np.cbrt), lambda y, x: square(1 / y) / 3,
    kind="float", complex_step=lambda z: np.where(z.real < 0, -((-z) ** (1 / 3)), z ** (1 / 3)), latex=r"\sqrt[3]{{{0}}}",
    doc="y = ∛x, of the sign of x; ∂y/∂x = 1/(3y²), infinite at 0." + ELEMENTWISE_DOC.format(
        name="cbrt", example="bprop.cbrt(bprop.asarray([-8.0, 27.0]))\n    Array([-2.,  3.])").replace(
        "Python Array API standard 2024.12, ``cbrt``", "C standard library, ``cbrt``"),
)  # fmt: skip


def _root_value(x: Any, p: float) -> Any:
    return np.sqrt(x) if p == 2 else x ** (1 / p)


kinked_root = Elementwise(
    "kinked_root", _root_value, lambda y, x, p: divide_no_nan(y, p * x),
    kind="float", native=lambda x, p: sqrt(x) if p == 2 else x ** (1 / p), complex_step=_root_value, domain=(0, inf),
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
    kind="float", native=_cosine, complex_step=lambda z1, z2: z1 / np.sqrt(z1 * z1 + z2 * z2),
    text="{0} / hypot({0}, {1})", latex=r"\frac{{{0}}}{{\sqrt{{{0}^{{2}} + {1}^{{2}}}}}}", level=2,
    doc="The derivative of `hypot`, x1/√(x1² + x2²): 0 at the tip of the cone, with a derivative of its own that is NaN there.",
)  # fmt: skip

hypot: Elementwise = Elementwise(
    "hypot", np.hypot, lambda y, x1, x2: cosine(x1, x2), lambda y, x1, x2: cosine(x2, x1),
    kind="float", complex_step=lambda z1, z2: np.sqrt(z1 * z1 + z2 * z2), latex=r"\sqrt{{{0}^{{2}} + {1}^{{2}}}}",
    doc="y = √(x1² + x2²) without overflow; ∂y/∂x1 = x1/y, ∂y/∂x2 = x2/y, 0 where y = 0." + ELEMENTWISE_DOC.format(
        name="hypot", example="bprop.hypot(bprop.asarray([3.0, 5.0]), bprop.asarray([4.0, 12.0]))\n    Array([ 5., 13.])"),
)  # fmt: skip

publish(pow, sqrt, square, cbrt, hypot)
