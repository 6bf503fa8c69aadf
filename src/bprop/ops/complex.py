"""Complex numbers: real and imaginary part, conjugate, angle. All are linear over the real numbers, or made of such.

Inside, derivatives are transposed and never conjugated: a cotangent x_bar stands for the map x_dot ↦ Re(x_bar · x_dot).
So the rule of a holomorphic op is that of the real op, and the rules here are the ones that differ. `grad` and `vjp` conjugate
what they take and return.
"""

from typing import Any

import numpy as np

from ..core.dtype import to_float, to_real
from ..core.family import General
from ..core.function import FUNCTIONS, function
from ..core.op import array
from ..core.value import Array
from .creation import zeros
from .selection import astype

__all__ = ["angle", "conj", "imag", "real"]


def complex_examples(calls: Any) -> Any:
    """Return the examples of an op that is for complex numbers alone: ``calls(draw)`` where these are drawn, else none."""
    return lambda draw: calls(draw) if draw.dtype.kind == "c" else []


_examples = complex_examples(lambda draw: [((draw(*shape),), {}) for shape in ((), (3,), (2, 3), (0, 3))])


def _real_linear(name: str, evaluate: Any, apply: Any, adjoint: Any, dtype: Any, latex: str) -> General:
    """Declare an op that works entry by entry and is linear over the real numbers alone."""
    return General(
        name,
        evaluate,
        signature="()->()",
        jvp=lambda y, xs, x_dots: apply(x_dots[0]),
        vjp=lambda y_bar, y, xs, needs: (adjoint(y_bar),),
        dtype=dtype,
        takes_complex=True,
        complex_step=False,
        half=True,
        examples=_examples,
        latex=latex,
        doc=f"The op behind `bprop.{name}`.",
    )


real_op: General = _real_linear(
    "real", np.real, lambda x: real_op(x), lambda y_bar: y_bar, to_real, r"\operatorname{{Re}}({0})"
)
imag_op: General = _real_linear(
    "imag", np.imag, lambda x: imag_op(x), lambda y_bar: y_bar * -1j, to_real, r"\operatorname{{Im}}({0})"
)
conj_op: General = _real_linear(
    "conj", np.conj, lambda x: conj_op(x), lambda y_bar: conj_op(y_bar), to_float, r"\overline{{{0}}}"
)


@function(np.conj)
def conj(x: Any, /) -> Array:
    """y = x̄, the complex conjugate; of a real array the array itself.

    y_dot is the conjugate of x_dot, and so is x_bar that of y_bar.

    **Source:** Python Array API standard 2024.12, ``conj``.

    >>> import bprop
    >>> bprop.conj(bprop.asarray([1.0 + 2.0j]))
    Array([1.-2.j])
    """
    x = array("conj", x)
    return conj_op(x) if x.dtype.kind == "c" else x


@function(np.real)
def real(x: Any, /) -> Array:
    """y = Re x, the real part; of a real array the array itself.

    **Source:** Python Array API standard 2024.12, ``real``.

    >>> import bprop
    >>> bprop.grad(lambda z: bprop.real(z * z))(1.0 + 2.0j)
    Array(2.-4.j)
    """
    x = array("real", x)
    return real_op(x) if x.dtype.kind == "c" else x


@function(np.imag)
def imag(x: Any, /) -> Array:
    """y = Im x, the imaginary part; of a real array zeros of its shape and dtype.

    **Source:** Python Array API standard 2024.12, ``imag``.

    >>> import bprop
    >>> bprop.imag(bprop.asarray([1.0 + 2.0j, 3.0]))
    Array([2., 0.])
    """
    x = array("imag", x)
    return imag_op(x) if x.dtype.kind == "c" else zeros(x.shape, dtype=x.dtype)


@function(np.angle)
def angle(z: Any, /, deg: bool = False) -> Array:
    """y = the angle of z in the complex plane, between -π and π, or in degrees with ``deg``; the gradient is i z / |z|².

    Of a real z it is 0 or π. The derivative at 0 is 0, as that of `atan2`.

    **Source:** NumPy 2, ``numpy.angle``.

    >>> import bprop
    >>> bprop.angle(bprop.asarray([1.0 + 1.0j, -1.0]), deg=True)
    Array([ 45., 180.])
    """
    z = array("angle", z)
    y: Array = FUNCTIONS["atan2"](imag(z), real(z))
    return y * (180 / np.pi) if deg else y


# --- what `abs` rests on: its derivative ---
def _direction_jvp(y: Any, xs: Any, x_dots: Any) -> Any:
    """What is across z turns the direction; what is along it changes nothing."""
    (x_dot,) = x_dots
    return (x_dot - y * real(conj(y) * x_dot)) / abs(xs[0])


def _direction_vjp(y_bar: Any, y: Any, xs: Any, needs: Any) -> tuple[Any]:
    return ((y_bar - real(y_bar * y) * conj(y)) / abs(xs[0]),)


direction = General(
    "direction", np.sign, signature="()->()",
    jvp=_direction_jvp, vjp=_direction_vjp,
    takes_complex=True, complex_step=False, examples=_examples,
    latex=r"\operatorname{{sign}}({0})",
    doc="y = x/\\|x\\|, and 0 at 0, where it has no derivative: that is NaN.",
)  # fmt: skip


# --- the dtype of a derivative ---
def matching(bar: Any, dtype: Any) -> Any:
    """Return a cotangent or tangent in the dtype of its primal: that of a real number is the real part."""
    if bar.dtype.kind == "c" and dtype.kind != "c":
        bar = real_op(bar)
    return bar if bar.dtype == dtype else astype(bar, dtype=dtype)
