"""Rounding, and the parts of a floating-point number: sign and neighbour. Steps have no derivative."""

from typing import Any

import numpy as np

from ..core.family import Elementwise
from ..core.function import FUNCTIONS, function, publish
from ..core.op import array
from ..core.value import Array
from .arithmetic import sign_op

__all__ = ["ceil", "copysign", "floor", "nextafter", "round", "signbit", "trunc"]


def _rounded(name: str, ufunc: Any, formula: str, answer: str, latex: str, takes_complex: bool = False) -> Elementwise:
    return Elementwise(
        name,
        lambda x: ufunc(x) if getattr(x, "dtype", np.dtype(float)).kind in "fc" else np.asarray(x),
        None,
        takes_complex=takes_complex,
        complex_step=lambda z: ufunc(z.real),
        latex=latex,
        doc=f"""{formula}, in the dtype of x; integers stay as they are. No derivative.

    **Source:** Python Array API standard 2024.12, ``{name}``.

    >>> import bprop
    >>> bprop.{name}(bprop.asarray([-1.5, 0.5, 2.7]))
    Array({answer})
    """,
    )


floor = _rounded(
    "floor", np.floor, "y = ⌊x⌋, the next integer below", "[-2.,  0.,  2.]", r"\left\lfloor {0} \right\rfloor"
)
ceil = _rounded("ceil", np.ceil, "y = ⌈x⌉, the next integer above", "[-1.,  1.,  3.]", r"\left\lceil {0} \right\rceil")
trunc = _rounded("trunc", np.trunc, "y = x without its fraction", "[-1.,  0.,  2.]", r"\operatorname{{trunc}}({0})")
round = _rounded(
    "round",
    np.rint,
    "y = the nearest integer, at a half the even one; of a complex number both parts are rounded",
    "[-2.,  0.,  3.]",
    r"\operatorname{{round}}({0})",
    takes_complex=True,
)


def _pair(name: str, partial: Any, step: Any, kind: Any, formula: str, example: str) -> Elementwise:
    return Elementwise(
        name,
        getattr(np, name),
        partial,
        None,
        kind=kind,
        complex_step=step,
        latex=rf"\operatorname{{{{{name}}}}}({{0}}, {{1}})",
        doc=f"""{formula}.

    Shapes broadcast, dtypes promote; integers become float64.

    **Source:** Python Array API standard 2024.12, ``{name}``.

    >>> import bprop
    >>> {example}
    """,
    )


copysign: Elementwise = _pair(
    "copysign", lambda y, x1, x2: sign_op(x1) * copysign(1.0, x2),
    lambda z1, z2: np.where(np.signbit(np.real(z1)) == np.signbit(np.real(z2)), z1, -z1), "float",
    "y = \\|x1\\| with the sign of x2; ∂y/∂x1 = ±1, 0 at x1 = 0, and y does not vary with x2",
    "bprop.copysign(bprop.asarray([1.0, 2.0]), -0.0)\n    Array([-1., -2.])",
)  # fmt: skip
nextafter = _pair(
    "nextafter", None, lambda z1, z2: np.nextafter(np.real(z1), np.real(z2)), "float",
    "y = the floating-point number next to x1 in the direction of x2; no derivative",
    'bprop.nextafter(bprop.asarray([0.0]), 1.0)\n    Array([5.e-324])',
)  # fmt: skip

signbit = Elementwise(
    "signbit", np.signbit, None,
    kind="bool", complex_step=lambda z: np.signbit(z.real),
    doc="""Whether the sign of x is minus, also that of -0 and of a NaN: bool of the shape of ``x``, no derivative.

    **Source:** Python Array API standard 2024.12, ``signbit``.

    >>> import bprop
    >>> bprop.signbit(bprop.asarray([-0.0, 0.0, 1.0]))
    Array([ True, False, False])
    """,
)  # fmt: skip

publish(floor, ceil, trunc, copysign, nextafter, signbit)
FUNCTIONS["round"], FUNCTIONS["fix"] = round, trunc


@function(np.rint)
def _rint(x: Any, /) -> Array:
    """Round to integers in floating point, as NumPy's ``rint``."""
    x = array("rint", x)
    y: Array = round(x if x.dtype.kind in "fc" else x.astype(np.float64))
    return y


@function()
def around(a: Any, decimals: int = 0) -> Array:
    """Round to ``decimals`` places after the point (before it, if negative): NumPy's ``round`` and ``around``."""
    a = array("round", a)
    if decimals == 0 or (decimals > 0 and a.dtype.kind not in "fc"):
        return round(a)
    scale = 10.0 ** (decimals if decimals > 0 else -decimals)
    y: Array = round(a * scale) / scale if decimals > 0 else round(a / scale) * scale
    return y.astype(a.dtype)
