"""Arithmetic: add, multiply, divide, powers. Each op is its formula and one partial derivative per input."""

from math import inf
from typing import Any

import numpy as np

from ..core.dtype import WEAK
from ..core.family import Elementwise
from ..core.function import FUNCTIONS, NUMPY
from ..core.op import shape_of
from .exponential import log
from .selection import where

__all__ = ["abs", "add", "divide", "multiply", "negative", "pow", "sign", "sqrt", "square", "subtract"]

_ARITHMETIC = """

    Shapes broadcast and dtypes promote as in NumPy 2 (Python scalars are weak). Raises `ShapeError` naming both shapes
    and the axis.

    **Source:** Python Array API standard 2024.12, ``{name}``.

    >>> import bprop
    >>> {example}
    """

add = Elementwise(
    "add", np.add, 1, 1,
    identity=((0, 0), (1, 0)), text="{0} + {1}", latex="{0} + {1}", level=1,
    doc="y = x1 + x2; ∂y/∂x1 = ∂y/∂x2 = 1." + _ARITHMETIC.format(
        name="add", example="bprop.add(bprop.ones(2), 1)\n    Array([2., 2.])"),
)  # fmt: skip

subtract = Elementwise(
    "subtract", np.subtract, 1, -1,
    identity=((1, 0),), text="{0} - {1}", latex="{0} - {1}", level=1,
    doc="y = x1 - x2; ∂y/∂x1 = 1, ∂y/∂x2 = -1." + _ARITHMETIC.format(
        name="subtract", example="bprop.subtract(bprop.ones(2), 1)\n    Array([0., 0.])"),
)  # fmt: skip

multiply = Elementwise(
    "multiply", np.multiply, lambda y, x1, x2: x2, lambda y, x1, x2: x1,
    identity=((0, 1), (1, 1)), absorbing=0, text="{0} * {1}", level=2,
    latex=lambda x1, x2: r"{0} \odot {1}" if shape_of(x1) and shape_of(x2) else r"{0} \, {1}",
    doc="y = x1 · x2; ∂y/∂x1 = x2, ∂y/∂x2 = x1." + _ARITHMETIC.format(
        name="multiply", example="bprop.multiply(bprop.ones(2), 3)\n    Array([3., 3.])"),
)  # fmt: skip

divide = Elementwise(
    "divide", np.divide, lambda y, x1, x2: 1 / x2, lambda y, x1, x2: -y / x2,
    kind="float", identity=((1, 1),), text="{0} / {1}", latex=r"\frac{{{0}}}{{{1}}}", level=2,
    doc="y = x1 / x2; ∂y/∂x1 = 1/x2, ∂y/∂x2 = -y/x2. Integers give float64." + _ARITHMETIC.format(
        name="divide", example="bprop.divide(bprop.ones(2), 4)\n    Array([0.25, 0.25])"),
)  # fmt: skip

negative = Elementwise(
    "negative", np.negative, -1,
    text="-{0}", latex="-{0}", level=3,
    doc="y = -x; ∂y/∂x = -1." + _ARITHMETIC.format(
        name="negative", example="bprop.negative(bprop.ones(2))\n    Array([-1., -1.])"),
)  # fmt: skip


def _pow_base(y: Any, x1: Any, x2: Any) -> Any:
    if type(x2) not in WEAK:
        return where(x2 == 0, 0, x2 * _lower_power(y, x1, x2, where(x2 == 0, 1, x2 - 1)))
    # every case reads x1 and never y: what the backward pass keeps is found once for all exponents
    if x2 == 0:
        return where(x1 == x1, 0, x1)
    if float(2 * x2).is_integer():
        return 2 * x1 if x2 == 2 else x2 * x1 ** (x2 - 1)
    return x2 * _lower_power(x1**x2, x1, x2, x2 - 1)


def _lower_power(y: Any, x1: Any, x2: Any, lower: Any) -> Any:
    """x1 ^ (x2 - 1) as y / x1: x2 - 1 is rounded, which the power magnifies by log x1 (40 units in float32)."""
    normal = (abs(y) >= float(np.finfo(y.dtype).tiny)) & (abs(y) < inf) & (x1 != 0)
    return where(normal, y / x1, x1**lower)


def _pow_exponent(y: Any, x1: Any, x2: Any) -> Any:
    # 0 ** x2 stays 0 for x2 > 0: the product 0 · log 0 has the limit 0
    return where(y == 0, 0, y * log(x1))


def _numeric(x: Any) -> Any:
    if getattr(x, "dtype", None) == np.bool_:
        raise TypeError("bool is no number")  # NumPy would answer in int8; the shape rule words the error
    return x


def _pow(x1: Any, x2: Any) -> Any:
    if type(x2) in WEAK and x2 == 2 and type(x1) is np.ndarray:
        return np.square(_numeric(x1))  # numpy.power takes the general path for a literal 2, 20 times slower
    return np.power(_numeric(x1), x2)


pow = Elementwise(
    "pow", _pow, _pow_base, _pow_exponent, domain=((0, inf), (-inf, inf)),
    kind="number", identity=((1, 1),), text="{0} ** {1}", latex="{0}^{{{1}}}", level=4,
    doc="y = x1 ^ x2; ∂y/∂x1 = x2 · x1^(x2-1), ∂y/∂x2 = y · log x1 (0 where y = 0)." + _ARITHMETIC.format(
        name="pow", example="bprop.pow(bprop.asarray([2.0, 3.0]), 2)\n    Array([4., 9.])"),
)  # fmt: skip

sqrt = Elementwise(
    "sqrt", np.sqrt, lambda y, x: 0.5 / y,
    kind="float", domain=(0, inf), latex=r"\sqrt{{{0}}}",
    doc="y = √x; ∂y/∂x = 1/(2y), infinite at 0. NaN for negative x." + _ARITHMETIC.format(
        name="sqrt", example="bprop.sqrt(bprop.asarray([4.0, 9.0]))\n    Array([2., 3.])"),
)  # fmt: skip

square = Elementwise(
    "square", lambda x: np.square(_numeric(x)), lambda y, x: 2 * x,
    kind="number", native=lambda x: x * x, text="{0} ** 2", latex="{0}^{{2}}", level=4,
    doc="y = x²; ∂y/∂x = 2x." + _ARITHMETIC.format(
        name="square", example="bprop.square(bprop.asarray([2.0, 3.0]))\n    Array([4., 9.])"),
)  # fmt: skip

sign = Elementwise(
    "sign", np.sign, None,
    native=lambda x: where((x != x) | (x == 0), x, (x > 0) * 1 - (x < 0) * 1),
    step=lambda x: np.sign(x.real), latex=r"\operatorname{{sign}}({0})",
    doc="y = -1, 0 or 1, the sign of x; NaN stays NaN; no derivative." + _ARITHMETIC.format(
        name="sign", example="bprop.sign(bprop.asarray([-2.0, 0.0, 3.0]))\n    Array([-1.,  0.,  1.])"),
)  # fmt: skip

abs = Elementwise(
    "abs", np.abs, lambda y, x: sign(x),
    step=lambda x: np.where(x.real < 0, -x, x), latex=r"\left|{0}\right|", text="abs({0})",
    doc="y = \\|x\\|; ∂y/∂x = sign x, with 0 at the kink x = 0." + _ARITHMETIC.format(
        name="abs", example="bprop.abs(bprop.asarray([-2.0, 3.0]))\n    Array([2., 3.])"),
)  # fmt: skip

for _op in (add, subtract, multiply, divide, negative, pow, sqrt, square, sign, abs):
    FUNCTIONS[_op.name] = _op
    NUMPY[getattr(np, _op.name)] = _op
