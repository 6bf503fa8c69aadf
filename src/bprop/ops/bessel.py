"""Bessel functions of the argument; the order is a constant. Orders 0 and 1 are SciPy's own functions of them.

Derivatives are half sums of the neighbouring orders, by the same ops. Those of the scaled functions are differences of nearly
equal numbers for large arguments, and there they are asymptotic series.
"""

from collections.abc import Callable
from math import inf, sqrt
from typing import Any

import numpy as np

from ..core.family import Elementwise, NoDerivative
from ..core.number import numpy_flag
from ..core.op import REGISTRY, array
from ..core.value import Array
from .special import in_double, scipy_special
from .special_function import described, of_whole_order, special_function, with_orders

__all__: list[str] = []

POSITIVE = (0.0, inf)


def _of_order(general: str, zero: str, first: str, reflected: int = 1) -> Callable[..., Any]:
    """Return SciPy's function of order and argument, with its functions of order 0 and 1 for those, and for -1."""

    def evaluate(v: Any, x: Any) -> Any:
        special = scipy_special()
        y = getattr(special, general)(v, x)
        for order, name, factor in ((0, zero, 1), (1, first, 1), (-1, first, reflected)):
            if np.any(v == order):
                y = np.where(v == order, factor * getattr(special, name)(x), y)
        return y

    return evaluate


_kv_normal = _of_order("kv", "k0", "k1")


def _kv_value(v: Any, x: Any) -> Any:
    """Return Kᵥ(x), also from x = 697 on, where SciPy gives 0 for orders but 0 and 1: eˣ Kᵥ(x) times e⁻ˣ."""
    y = _kv_normal(v, x)
    vanished = (y == 0) & (x < inf)
    return np.where(vanished, scipy_special().kve(v, x) * np.exp(-x), y) if np.any(vanished) else y


def _order(name: str, between: Callable[..., Any], latex: str, domain: Any = (-inf, inf), **rest: Any) -> Elementwise:
    return special_function(
        name, NoDerivative(name, "v"), between, domain=((-inf, inf), domain), latex=latex,
        examples=with_orders(0, 2.5, domain=POSITIVE), **rest,
    )  # fmt: skip


# --- J and Y ---
jv: Elementwise = _order(
    "jv", lambda y, v, x: 0.5 * (jv(v - 1, x) - jv(v + 1, x)), "J_{{{0}}}({1})", POSITIVE,
    evaluate=_of_order("jv", "j0", "j1", -1),
    doc=described("y = Jᵥ(x), of the first kind; ∂y/∂x = (Jᵥ₋₁(x) - Jᵥ₊₁(x))/2, none by the order v.",
                  "jv(2.5, bprop.asarray([0.0, 1.0]))", "Array([0.        , 0.04949681])"),
)  # fmt: skip

yv: Elementwise = _order(
    "yv", lambda y, v, x: 0.5 * (yv(v - 1, x) - yv(v + 1, x)), "Y_{{{0}}}({1})", POSITIVE,
    evaluate=_of_order("yv", "y0", "y1", -1),
    doc=described("y = Yᵥ(x), of the second kind; ∂y/∂x = (Yᵥ₋₁(x) - Yᵥ₊₁(x))/2, none by the order v. NaN for negative x.",
                  "yv(2.5, bprop.asarray([0.0, 1.0]))", "Array([       -inf, -2.87638786])"),
)  # fmt: skip


# --- I and K ---
iv: Elementwise = _order(
    "iv", lambda y, v, x: 0.5 * (iv(v - 1, x) + iv(v + 1, x)), "I_{{{0}}}({1})", POSITIVE,
    evaluate=_of_order("iv", "i0", "i1"),
    doc=described("y = Iᵥ(x), modified, of the first kind; ∂y/∂x = (Iᵥ₋₁(x) + Iᵥ₊₁(x))/2, none by the order v.",
                  "iv(2.5, bprop.asarray([0.0, 1.0]))", "Array([0.        , 0.05709891])"),
)  # fmt: skip

kv: Elementwise = _order(
    "kv", lambda y, v, x: -0.5 * (kv(v - 1, x) + kv(v + 1, x)), "K_{{{0}}}({1})", POSITIVE,
    evaluate=_kv_value,
    doc=described("y = Kᵥ(x), modified, of the second kind; ∂y/∂x = -(Kᵥ₋₁(x) + Kᵥ₊₁(x))/2, none by the order v.",
                  "kv(2.5, bprop.asarray([0.5, 1.0]))", "Array([20.42590447,  3.22747953])"),
)  # fmt: skip


def _far(v: Any, x: Any) -> Any:
    return np.abs(x) > np.maximum(40.0, 2 * v * v)


def _far_derivative(v: Any, x: Any, n: int, alternating: int) -> Any:
    """The n-th derivative of Σ (±1)ᵏ aₖ x^(-k-½), with the coefficients of NIST Handbook 10.40.1-2."""
    m = 4 * v * v
    rising = 1.0
    for i in range(n):
        rising = -rising * (0.5 + i)
    term: Any = rising * np.ones_like(x)
    y = term
    for k in range(1, 25):
        a = alternating * (m - (2 * k - 1) ** 2) / (8 * k)
        term = term * (a / x) * ((k + n - 0.5) / (k - 0.5))
        y = y + term
    for _ in range(n):
        y = y / x
    return y / np.sqrt(x)


def _near_derivative(value: Callable[..., Any], v: Any, x: Any, n: int, neighbours: float, itself: Any) -> Any:
    """The n-th derivative by f' = neighbours (fᵥ₋₁ + fᵥ₊₁) + itself fᵥ, from the orders v - n to v + n."""
    orders = [value(v + k, x) for k in range(-n, n + 1)]
    while len(orders) > 1:
        triples = zip(orders, orders[1:], orders[2:], strict=False)
        orders = [neighbours * (below + above) + itself * middle for below, middle, above in triples]
    return orders[0]


@in_double
def _ive_derivative(v: Any, x: Any, n: int) -> Any:
    y = _near_derivative(_of_order("ive", "i0e", "i1e"), v, x, n, 0.5, -np.sign(x))
    far = _far(v, x)
    z = np.where(far, np.abs(x), 1e3)
    series = _far_derivative(np.where(far, v, 0), z, n, -1) / np.sqrt(2 * np.pi)
    order = np.floor(v) == v  # of other orders there is no value left of 0
    mirrored = np.where(order, np.where((v + n) % 2 == 0, series, -series), np.nan)
    return np.where(far, np.where(x > 0, series, mirrored), y)


@in_double
def _kve_derivative(v: Any, x: Any, n: int) -> Any:
    y = _near_derivative(_of_order("kve", "k0e", "k1e"), v, x, n, -0.5, 1.0)
    far = _far(v, x) & (x > 0)
    z = np.where(far, x, 1e3)
    return np.where(far, _far_derivative(np.where(far, v, 0), z, n, 1) * sqrt(np.pi / 2), y)


def _derivative_of(name: str, evaluate: Callable[..., Any], latex: str) -> Elementwise:
    """Declare the n-th derivative of a scaled function, whose own derivative is the next."""

    def between(y: Any, v: Any, x: Any, n: int) -> Any:
        return REGISTRY[f"{name}_derivative"](v, x, n=n + 1)

    return special_function(
        f"{name}_derivative", NoDerivative(f"{name}_derivative", "v"), between, domain=((-inf, inf), POSITIVE), evaluate=evaluate,
        latex=latex, text=f"D**{{n}} {name}({{0}}, {{1}})", level=2,
        examples=lambda draw: [(operands, {"n": n}) for operands, _ in with_orders(0, 2.5, domain=POSITIVE)(draw) for n in (1, 2)],
        doc=f"The n-th derivative of `{name}`: for large x not the difference of nearly equal numbers.",
    )  # fmt: skip


ive_derivative = _derivative_of("ive", _ive_derivative, r"\left(e^{{-|{1}|}} I_{{{0}}}({1})\right)^{{({n})}}")
kve_derivative = _derivative_of("kve", _kve_derivative, r"\left(e^{{{1}}} K_{{{0}}}({1})\right)^{{({n})}}")

ive: Elementwise = _order(
    "ive", lambda y, v, x: ive_derivative(v, x, n=1), r"e^{{-|{1}|}} I_{{{0}}}({1})", POSITIVE,
    evaluate=_of_order("ive", "i0e", "i1e"),
    doc=described("y = e^(-\\|x\\|) Iᵥ(x), which does not overflow; ∂y/∂x = (yᵥ₋₁ + yᵥ₊₁)/2 - sign(x) yᵥ, none by the order v.",
                  "ive(2.5, bprop.asarray([1.0, 1000.0]))", "Array([0.02100551, 0.01257785])"),
)  # fmt: skip

kve: Elementwise = _order(
    "kve", lambda y, v, x: kve_derivative(v, x, n=1), r"e^{{{1}}} K_{{{0}}}({1})", POSITIVE,
    evaluate=_of_order("kve", "k0e", "k1e"),
    doc=described("y = eˣ Kᵥ(x), which does not underflow; ∂y/∂x = yᵥ - (yᵥ₋₁ + yᵥ₊₁)/2, none by the order v.",
                  "kve(2.5, bprop.asarray([1.0, 1000.0]))", "Array([8.77319896, 0.03975229])"),
)  # fmt: skip


# --- by SciPy's other names ---
def _fixed(name: str, op: Elementwise, order: int, formula: str) -> Callable[[Any], Array]:
    def f(x: Any, /) -> Array:
        return op(order, array(name, x))

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"""Return `{op.name}` of order {order}; ∂y/∂x = {formula}.

    **Source:** SciPy, ``scipy.special.{name}``; Olver et al. (2010), NIST Handbook of Mathematical Functions, ch. 10.

    >>> import bprop
    >>> bprop.scipy.special.{name}(1.0).shape
    ()
    """
    return f


j0, j1 = _fixed("j0", jv, 0, "-J₁(x)"), _fixed("j1", jv, 1, "(J₀(x) - J₂(x))/2")
y0, y1 = _fixed("y0", yv, 0, "-Y₁(x)"), _fixed("y1", yv, 1, "(Y₀(x) - Y₂(x))/2")
i0, i1 = _fixed("i0", iv, 0, "I₁(x)"), _fixed("i1", iv, 1, "(I₀(x) + I₂(x))/2")
k0, k1 = _fixed("k0", kv, 0, "-K₁(x)"), _fixed("k1", kv, 1, "-(K₀(x) + K₂(x))/2")
i0e, i1e = _fixed("i0e", ive, 0, "y₁ - sign(x) y"), _fixed("i1e", ive, 1, "(y₀ + y₂)/2 - sign(x) y")
k0e, k1e = _fixed("k0e", kve, 0, "y - y₁"), _fixed("k1e", kve, 1, "y - (y₀ + y₂)/2")


# --- spherical ---
def _spherical_op(name: str, sense: int, latex: str, formula: str, result: str) -> Elementwise:
    def between(y: Any, n: Any, x: Any) -> Any:
        op = REGISTRY[name]
        lower = n * op(abs(n - 1), x)  # of order 0 it does not count
        return (lower + sense * (n + 1) * op(n + 1, x)) / (2 * n + 1)

    return special_function(
        name, NoDerivative(name, "n"), between, domain=((0.0, inf), POSITIVE), latex=latex,
        evaluate=of_whole_order(lambda n, x: getattr(scipy_special(), name)(n, x)),
        examples=with_orders(0, 2, domain=POSITIVE), doc=described(formula, f"{name}(1, bprop.asarray([0.0, 1.0]))", result),
    )  # fmt: skip


spherical_jn_op = _spherical_op(
    "spherical_jn", -1, "j_{{{0}}}({1})",
    "y = jₙ(x) = √(π/2x) J of order n + ½; ∂y/∂x = (n jₙ₋₁ - (n+1) jₙ₊₁)/(2n + 1). j₀(x) = sin x / x.",
    "Array([0.        , 0.30116868])",
)  # fmt: skip
spherical_in_op = _spherical_op(
    "spherical_in", 1, "i_{{{0}}}({1})",
    "y = iₙ(x) = √(π/2x) I of order n + ½; ∂y/∂x = (n iₙ₋₁ + (n+1) iₙ₊₁)/(2n + 1). i₀(x) = sinh x / x.",
    "Array([0.        , 0.36787944])",
)  # fmt: skip


def _spherical(op: Any, sense: int, n: Any, z: Any, derivative: bool) -> Array:
    z = array(op.name, z)
    if not numpy_flag(op.name, "derivative", derivative):
        return op(n, z)
    n = array(op.name, n)
    return (n * op(abs(n - 1), z) + sense * (n + 1) * op(n + 1, z)) / (2 * n + 1)


def spherical_jn(n: Any, z: Any, derivative: bool = False) -> Array:
    """y = jₙ(z), or its derivative (n jₙ₋₁ - (n+1) jₙ₊₁)/(2n + 1); ``n`` is a constant, at least 0.

    **Source:** SciPy, ``scipy.special.spherical_jn``.

    >>> import bprop
    >>> bprop.scipy.special.spherical_jn(0, bprop.asarray([0.0, 1.0]))
    Array([1.        , 0.84147098])
    """
    return _spherical(spherical_jn_op, -1, n, z, derivative)


def spherical_in(n: Any, z: Any, derivative: bool = False) -> Array:
    """y = iₙ(z), or its derivative (n iₙ₋₁ + (n+1) iₙ₊₁)/(2n + 1); ``n`` is a constant, at least 0.

    **Source:** SciPy, ``scipy.special.spherical_in``.

    >>> import bprop
    >>> bprop.scipy.special.spherical_in(0, bprop.asarray([0.0, 1.0]))
    Array([1.        , 1.17520119])
    """
    return _spherical(spherical_in_op, 1, n, z, derivative)


# --- Airy's functions ---
def _airy(name: str, output: int, partial: Callable[..., Any], latex: str, formula: str) -> Elementwise:
    return special_function(
        name, partial, evaluate=lambda x: scipy_special().airy(x)[output], latex=latex,
        doc=f"{formula}: one of the four results of `bprop.scipy.special.airy`.",
    )  # fmt: skip


airy_ai: Elementwise = _airy(
    "airy_ai", 0, lambda y, x: airy_ai_slope(x), r"\mathrm{{Ai}}({0})", "y = Ai(x); ∂y/∂x = Ai'(x)"
)
airy_ai_slope: Elementwise = _airy(
    "airy_ai_slope", 1, lambda y, x: x * airy_ai(x), r"\mathrm{{Ai}}'({0})", "y = Ai'(x); ∂y/∂x = x Ai(x)"
)
airy_bi: Elementwise = _airy(
    "airy_bi", 2, lambda y, x: airy_bi_slope(x), r"\mathrm{{Bi}}({0})", "y = Bi(x); ∂y/∂x = Bi'(x)"
)
airy_bi_slope: Elementwise = _airy(
    "airy_bi_slope", 3, lambda y, x: x * airy_bi(x), r"\mathrm{{Bi}}'({0})", "y = Bi'(x); ∂y/∂x = x Bi(x)"
)


def airy(x: Any, /) -> tuple[Array, Array, Array, Array]:
    """Return Ai(x), Ai'(x), Bi(x) and Bi'(x), the solutions of y'' = x y and their derivatives.

    **Source:** SciPy, ``scipy.special.airy``.

    >>> import bprop
    >>> bprop.scipy.special.airy(0.0)[0]
    Array(0.35502805)
    """
    x = array("airy", x)
    return airy_ai(x), airy_ai_slope(x), airy_bi(x), airy_bi_slope(x)
