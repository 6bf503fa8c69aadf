"""The normalised sinc function and its derivatives, which lose no digits around 0."""

from math import factorial, pi
from typing import Any

import numpy as np

from ..core.family import Elementwise
from ..core.function import publish
from .special import in_double

__all__ = ["sinc"]

_TERMS = 18


# --- sin πx and cos πx, exact at multiples of a half: x is reduced before it meets π ---
def _in_period(x: Any) -> Any:
    return x - 2.0 * np.round(x * 0.5)


def _sin_pi(x: Any) -> Any:
    r = _in_period(x)
    return np.sin(pi * np.where(r > 0.5, 1.0 - r, np.where(r < -0.5, -1.0 - r, r)))


def _cos_pi(x: Any) -> Any:
    return np.sin(pi * (0.5 - np.abs(_in_period(x))))


@in_double
def _sinc(x: Any) -> Any:
    safe = np.where(x == 0, 1.0, x)
    return np.where(x == 0, 1.0, _sin_pi(safe) / (pi * safe))


# --- the n-th derivative ---
def _coefficients(n: int) -> list[float]:
    """Return those of the Taylor series of s_n in powers of x², after a factor x for an odd n."""
    first = (n + 1) // 2
    return [
        (-1) ** k * pi ** (2 * k) / ((2 * k + 1) * factorial(2 * k - n)) for k in range(first, first + _TERMS)
    ]  # fmt: skip


def _near(x: Any, n: int) -> Any:
    square, y = x * x, 0.0 * x
    for coefficient in reversed(_coefficients(n)):
        y = y * square + coefficient
    return y * x if n % 2 else y


def _far(x: Any, n: int, sines: tuple[Any, Any]) -> Any:
    """x s_n + n s_{n-1} is the n-th derivative of sin πx / π."""
    y = sines[0] / (pi * x)
    for k in range(1, n + 1):
        sign = -1.0 if k % 4 in (2, 3) else 1.0
        y = (sign * pi ** (k - 1) * sines[k % 2] - k * y) / x
    return y


def _reach(n: int) -> float:
    """Up to where the series is more accurate than the recurrence."""
    return 0.1 + 0.4 * n


@in_double
def _derivative(x: Any, n: int) -> Any:
    close = np.abs(x) < _reach(n)
    near, far = np.where(close, x, 0.0), np.where(close, 1.0, x)
    return np.where(close, _near(near, n), _far(far, n, (_sin_pi(far), _cos_pi(far))))


def _derivative_step(z: Any, n: int) -> Any:
    close = np.abs(np.real(z)) < _reach(n)
    near, far = np.where(close, z, 0.0), np.where(close, 1.0, z)
    return np.where(close, _near(near, n), _far(far, n, (np.sin(pi * far), np.cos(pi * far))))


sinc_derivative: Elementwise = Elementwise(
    "sinc_derivative", _derivative, lambda y, x, n: sinc_derivative(x, n=n + 1),
    kind="float", native=_derivative, complex_step=_derivative_step,
    text=lambda x, n: "sinc" + "'" * n + "({0})", latex=lambda x, n: r"\operatorname{{sinc}}" + "'" * n + "({0})",
    examples=lambda draw: [((draw(*shape),), {"n": n}) for shape in ((), (2, 3), (0, 3)) for n in (1, 2)],
    doc="The n-th derivative of `sinc`: around 0 its series, else x s_n = πⁿ⁻¹ sin(πx + nπ/2) - n s_{n-1}.",
)  # fmt: skip

sinc = Elementwise(
    "sinc", _sinc, lambda y, x: sinc_derivative(x, n=1),
    kind="float", native=_sinc, complex_step=lambda z: np.where(z == 0, 1.0, np.sin(pi * z) / np.where(z == 0, 1.0, pi * z)),
    latex=r"\operatorname{{sinc}}({0})",
    doc="""y = sin(πx) / (πx), and 1 at 0; ∂y/∂x = (cos πx - y) / x. Exactly 0 at other integers.

    ``x``: any shape, float16/32/64 (integers become float64); the result has the same shape.

    **Source:** NumPy, ``numpy.sinc``.

    >>> import bprop
    >>> bprop.sinc(bprop.asarray([0.0, 0.5, 1.0]))
    Array([1.        , 0.63661977, 0.        ])
    """,
)  # fmt: skip

publish(sinc)
