"""Arithmetic: add, multiply, divide, remainder, sign. Each op is its formula and one partial derivative per input."""

from math import copysign, inf
from typing import Any

import numpy as np

from ..core.dtype import WEAK
from ..core.error import DTypeError
from ..core.family import Elementwise
from ..core.function import FUNCTIONS, NUMPY, function, publish
from ..core.op import array, shape_of
from ..core.value import Array
from .complex import conj, direction
from .selection import where

__all__ = [
    "abs",
    "add",
    "divide",
    "floor_divide",
    "multiply",
    "negative",
    "positive",
    "reciprocal",
    "remainder",
    "sign",
    "subtract",
]


ELEMENTWISE_DOC = """

    Shapes broadcast and dtypes promote as in NumPy 2 (Python scalars are weak). Raises `ShapeError` naming both shapes
    and the axis.

    **Source:** Python Array API standard 2024.12, ``{name}``.

    >>> import bprop
    >>> {example}
    """

add = Elementwise(
    "add", np.add, 1, 1, takes_complex=True,
    identity=((0, -0.0), (1, -0.0)), role="sum", text="{0} + {1}", latex="{0} + {1}", level=1,
    doc="y = x1 + x2; ∂y/∂x1 = ∂y/∂x2 = 1." + ELEMENTWISE_DOC.format(
        name="add", example="bprop.add(bprop.ones(2), 1)\n    Array([2., 2.])"),
)  # fmt: skip

subtract = Elementwise(
    "subtract", np.subtract, 1, -1, kind="number", takes_complex=True,
    identity=((1, 0),), role="difference", text="{0} - {1}", latex="{0} - {1}", level=1,
    doc="y = x1 - x2; ∂y/∂x1 = 1, ∂y/∂x2 = -1." + ELEMENTWISE_DOC.format(
        name="subtract", example="bprop.subtract(bprop.ones(2), 1)\n    Array([0., 0.])"),
)  # fmt: skip

multiply = Elementwise(
    "multiply", np.multiply, lambda y, x1, x2: x2, lambda y, x1, x2: x1, takes_complex=True,
    identity=((0, 1), (1, 1)), absorbing=0, role="product", text="{0} * {1}", level=2,
    latex=lambda x1, x2: r"{0} \odot {1}" if shape_of(x1) and shape_of(x2) else r"{0} \, {1}",
    doc="y = x1 · x2; ∂y/∂x1 = x2, ∂y/∂x2 = x1." + ELEMENTWISE_DOC.format(
        name="multiply", example="bprop.multiply(bprop.ones(2), 3)\n    Array([3., 3.])"),
)  # fmt: skip


def _inverse(x: Any) -> Any:
    """1/x, which for a Python 0 is infinite as for an array's, where Python would raise."""
    return copysign(inf, x.real) if type(x) in WEAK and x == 0 else 1 / x


divide = Elementwise(
    "divide", np.divide, lambda y, x1, x2: _inverse(x2), lambda y, x1, x2: -y / x2,
    kind="float", takes_complex=True, identity=((1, 1),), role="quotient", text="{0} / {1}", latex=r"\frac{{{0}}}{{{1}}}", level=2,
    doc="y = x1 / x2; ∂y/∂x1 = 1/x2, ∂y/∂x2 = -y/x2. Integers give float64." + ELEMENTWISE_DOC.format(
        name="divide", example="bprop.divide(bprop.ones(2), 4)\n    Array([0.25, 0.25])"),
)  # fmt: skip

negative = Elementwise(
    "negative", np.negative, -1, kind="number", takes_complex=True,
    role="negation", text="-{0}", latex="-{0}", level=3,
    doc="y = -x; ∂y/∂x = -1." + ELEMENTWISE_DOC.format(
        name="negative", example="bprop.negative(bprop.ones(2))\n    Array([-1., -1.])"),
)  # fmt: skip


sign_op = Elementwise(
    "sign", np.sign, None, kind="number",
    native=lambda x: where(x != x, x, (x > 0) * 1 - (x < 0) * 1),
    complex_step=lambda x: np.sign(x.real), latex=r"\operatorname{{sign}}({0})",
    doc="The op behind `bprop.sign` of real numbers.",
)  # fmt: skip

abs = Elementwise(
    "abs", np.abs, lambda y, x: conj(direction(x)) if x.dtype.kind == "c" else sign_op(x),
    kind="real", takes_complex=True,
    complex_step=lambda x: np.where(x.real < 0, -x, x), latex=r"\left|{0}\right|", text="abs({0})",
    doc="y = \\|x\\|; ∂y/∂x = sign x, with 0 at the kink x = 0. The gradient at a complex x is x/y." + ELEMENTWISE_DOC.format(
        name="abs", example="bprop.abs(bprop.asarray([-2.0, 3.0]))\n    Array([2., 3.])"),
)  # fmt: skip


def _quotient_value(x1: Any, x2: Any) -> Any:
    return np.where(x2 == 0, 0, x1 / x2)


divide_no_nan = Elementwise(
    "divide_no_nan", _quotient_value, lambda y, x1, x2: 1 / x2, lambda y, x1, x2: -y / x2,
    kind="float", native=_quotient_value, complex_step=lambda z1, z2: np.where(z2 == 0, 0, z1 / z2),
    text="{0} / {1}", latex=r"\frac{{{0}}}{{{1}}}", level=2,
    doc="""y = x1 / x2, and 0 where x2 is 0, with the derivatives of `divide`: infinite or NaN there.

    A norm has the derivative x / y, and at its kink 0, by convention. A second derivative it has not: a constant 0 would
    say that it is 0, which for a square of the norm is wrong.

    **Source:** TensorFlow, ``math.divide_no_nan``.
    """,
)  # fmt: skip


floor_divide: Elementwise = Elementwise(
    "floor_divide", np.floor_divide, None, None,
    kind="number", complex_step=lambda z1, z2: np.floor_divide(np.real(z1), np.real(z2)), text="{0} // {1}", level=2,
    latex=r"\left\lfloor {0} \;/\; {1} \right\rfloor",
    doc="y = ⌊x1 / x2⌋, as Python's //; no derivative. An integer divided by 0 gives 0." + ELEMENTWISE_DOC.format(
        name="floor_divide", example="bprop.floor_divide(bprop.asarray([7.0, -7.0]), 2)\n    Array([ 3., -4.])"),
)  # fmt: skip


def _remainder_step(z1: Any, z2: Any) -> Any:
    return z1 - z2 * np.floor_divide(np.real(z1), np.real(z2))


remainder = Elementwise(
    "remainder", np.remainder, 1, lambda y, x1, x2: -floor_divide(x1, x2),
    kind="number", complex_step=_remainder_step, text="{0} % {1}", latex=r"{0} \;\mathrm{{mod}}\; {1}", level=2,
    examples=lambda draw: [  # x1 / x2 stays away from the jumps at the integers
        ((draw(*shape1), draw(*shape2, domain=(4, inf))), {})
        for shape1, shape2 in (((), ()), ((5,), (5,)), ((2, 3), (2, 3)), ((0, 3), (0, 3)), ((3, 1), (1, 4)), ((4,), (3, 1)))
    ] + [((draw(2, 3), 4.5), {}), ((2.5, draw(2, 3, domain=(4, inf))), {}), ((-2, draw(2, 3, domain=(4, inf))), {})],
    doc="y = x1 - x2 ⌊x1 / x2⌋, with the sign of x2, as Python's %; ∂y/∂x1 = 1, ∂y/∂x2 = -⌊x1 / x2⌋."
    + ELEMENTWISE_DOC.format(
        name="remainder", example="bprop.remainder(bprop.asarray([7.0, -7.0]), 4)\n    Array([3., 1.])"),
)  # fmt: skip

publish(add, subtract, multiply, divide, negative, abs, floor_divide, remainder)
NUMPY[np.fabs] = abs
NUMPY[np.divmod] = lambda x1, x2, /: (floor_divide(x1, x2), remainder(x1, x2))


@function(np.fmod)
def _fmod(x1: Any, x2: Any, /) -> Array:
    """y = x1 - x2 trunc(x1 / x2), with the sign of x1: NumPy's and C's remainder, exact as that of positive numbers."""
    x1 = array("fmod", x1)
    is_negative = FUNCTIONS["signbit"](x1) if x1.dtype.kind == "f" else x1 < 0  # -0 too
    rest = remainder(where(is_negative, -x1, x1), abs(x2))  # abs has no derivative at 0, where fmod has
    return where(is_negative, -rest, rest)


@function(np.sign)
def sign(x: Any, /) -> Array:
    """y = -1, 0 or 1, the sign of x, 0 also for -0; NaN stays NaN; no derivative. Of a complex x it is x/|x|, and 0 at 0.

    **Source:** Python Array API standard 2024.12, ``sign``.

    >>> import bprop
    >>> bprop.sign(bprop.asarray([-2.0, 0.0, 3.0]))
    Array([-1.,  0.,  1.])
    """
    x = array("sign", x)
    y: Array = direction(x) if x.dtype.kind == "c" else sign_op(x)
    return y


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
