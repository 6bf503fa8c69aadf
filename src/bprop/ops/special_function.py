"""How the functions of `scipy.special` are declared: SciPy computes in float64, bprop has the derivatives."""

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from ..core.dtype import WEAK, result_type, to_float
from ..core.elementwise import Partial
from ..core.family import Elementwise
from ..core.op import array
from ..core.traced_float import TracedFloat
from ..core.value import Array, converted
from .special import in_double, scipy_special

__all__: list[str] = []

Interval = tuple[float, float]


def ufunc(name: str) -> Callable[..., Any]:
    """Return SciPy's ufunc of a name, computed in float64 and rounded once."""
    return in_double(lambda *xs: getattr(scipy_special(), name)(*xs))


def of_whole_order(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function of an order and an argument, NaN where the order is no whole number from 0 on."""

    def evaluate(n: Any, x: Any) -> Any:
        is_order = (n >= 0) & (n < 2**31) & (np.floor(n) == n)
        return np.where(is_order, f(np.where(is_order, n, 0).astype(np.int64), x), np.nan)

    return evaluate


def together(name: str, *values: Any) -> list[Array]:
    """Return operands as arrays: Python's numbers, which are weak, in the floating dtype of the others."""
    weak = [type(value) in WEAK or type(value) is TracedFloat for value in values]
    arrays = [value if own else array(name, value) for own, value in zip(weak, values, strict=True)]
    dtypes = [value.dtype for own, value in zip(weak, arrays, strict=True) if not own]
    dtype = to_float(result_type(*dtypes)) if dtypes else np.dtype(np.float64)
    return [converted(name, value, dtype) if own else value for own, value in zip(weak, arrays, strict=True)]


def described(formula: str, example: str, result: str) -> str:
    """Return a docstring: the formula with the derivative, and an example of `bprop.scipy.special`."""
    return f"""{formula}

    Shapes broadcast, dtypes promote; integers become float64.

    **Source:** SciPy, ``scipy.special``; Olver et al. (2010), NIST Handbook of Mathematical Functions.

    >>> import bprop
    >>> bprop.scipy.special.{example}
    {result}
    """


def entries(*domains: Interval) -> Callable[[Any], Any]:
    """Return the example calls of an op whose operands lie inside ``domains``: few, since SciPy is called back."""

    def examples(draw: Any) -> Any:
        several = [(2, 3), (3,), (2, 1)][: len(domains)]
        return [(tuple(draw(*shape, domain=d) for d, shape in zip(domains, shapes, strict=True)), {})
                for shapes in ([()] * len(domains), several, [(0, 3)] * len(domains))]  # fmt: skip

    return examples


def with_orders(*orders: float, domain: Interval = (-inf, inf)) -> Callable[[Any], Any]:
    """Return the example calls of an op of an order, which has no derivative, and an argument inside ``domain``."""

    def examples(draw: Any) -> Any:
        calls: list[Any] = [((order, draw(2, 3, domain=domain)), {}) for order in orders]
        several = (np.array([[1], [2]], np.int16), draw(3, domain=domain))
        return [*calls, (several, {}), ((orders[0], draw(0, 3, domain=domain)), {})]

    return examples


def special_function(
    name: str,
    *partials: Partial,
    evaluate: Callable[..., Any] | None = None,
    native: Any = "callback",
    domain: Interval | tuple[Interval, ...] = (-inf, inf),
    examples: Callable[[Any], Any] | None = None,
    **rest: Any,
) -> Elementwise:
    """Declare an op that SciPy computes: by its ufunc of the op's name unless ``evaluate`` says otherwise."""
    domains: Any = domain if isinstance(domain[0], tuple) else (domain,) * len(partials)
    return Elementwise(
        name, ufunc(name) if evaluate is None else in_double(evaluate), *partials, kind="float", native=native,
        complex_step=None, domain=domain, examples=examples or entries(*domains), **rest,
    )  # fmt: skip
