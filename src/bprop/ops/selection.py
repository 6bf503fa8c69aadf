"""Selections: y takes one of its inputs. The others get no cotangent, which is not the same as a cotangent of zero."""

from math import inf, nan
from typing import Any

import numpy as np

from ..core.dtype import WEAK
from ..core.family import Elementwise, Selection
from ..core.function import FUNCTIONS, function, publish
from ..core.op import array
from ..core.shape import broadcast
from ..core.traced_float import TracedFloat
from ..core.value import Array

__all__ = ["clip", "maximum", "minimum", "stop_gradient", "where"]


def _where(condition: Any, x1: Any, x2: Any) -> Any:
    for number, other in ((x1, x2), (x2, x1)):
        if type(number) is int and getattr(other, "dtype", np.dtype(float)).kind in "iu":
            np.asarray(number, other.dtype)  # raises where that cannot hold it: NumPy would wrap
    return np.where(condition, x1, x2)


where = Selection(
    "where", _where, None, lambda y, c, x1, x2: c, lambda y, c, x1, x2: FUNCTIONS["logical_not"](c),
    native="where", takes_complex=True, complex_step=lambda c, x1, x2: np.where(np.real(c).astype(bool), x1, x2),
    role="case", latex=r"\begin{{cases}} {1} & {0} \\ {2} & \text{{otherwise}} \end{{cases}}",
    doc="""y = x1 where ``condition`` holds, x2 elsewhere. The branch not taken has no derivative there.

    ``condition``: bool; shapes of all three broadcast; dtype promotes from x1 and x2. A NaN or infinite derivative of
    the branch not taken never reaches the gradient: it is absent, not multiplied by zero.

    **Source:** Python Array API standard 2024.12, ``where``.

    >>> import bprop
    >>> f = lambda x: bprop.sum(bprop.where(x > 0, bprop.sqrt(x), 0))
    >>> bprop.grad(f)(bprop.asarray([0.0, 4.0]))
    Array([0.  , 0.25])
    """,
)  # fmt: skip


def _tie_fraction(first: Any, second: Any) -> Any:
    """1 where first > second, one half at a tie; a NaN is taken."""
    dtype = first.dtype if hasattr(first, "dtype") else second.dtype
    above = astype(FUNCTIONS["logical_not"](first < second), dtype=dtype)
    return (above + astype(FUNCTIONS["logical_not"](first <= second), dtype=dtype)) * 0.5


_EXTREME = """

    Shapes broadcast. NaN propagates. At a tie each input takes half of the cotangent; of two zeros y is x2, so the sign of
    a zero is that of x2.

    **Source:** Python Array API standard 2024.12, ``{name}``; JAX's convention at ties.

    >>> import bprop
    >>> bprop.{name}(bprop.asarray([1.0, 5.0]), 3.0)
    Array({result})
    """

maximum = Selection(
    "maximum", np.maximum, lambda y, x1, x2: _tie_fraction(x1, x2), lambda y, x1, x2: _tie_fraction(x2, x1),
    complex_step=lambda x1, x2: np.where(np.real(x1) >= np.real(x2), x1, x2), latex=r"\max({0}, {1})",
    doc="y = max(x1, x2), entry by entry." + _EXTREME.format(name="maximum", result="[3., 5.]"),
)  # fmt: skip

minimum = Selection(
    "minimum", np.minimum, lambda y, x1, x2: _tie_fraction(x2, x1), lambda y, x1, x2: _tie_fraction(x1, x2),
    complex_step=lambda x1, x2: np.where(np.real(x1) <= np.real(x2), x1, x2), latex=r"\min({0}, {1})",
    doc="y = min(x1, x2), entry by entry." + _EXTREME.format(name="minimum", result="[1., 3.]"),
)  # fmt: skip

FUNCTIONS["where"] = where
publish(maximum, minimum)


def _convert(x: Any, dtype: Any) -> Any:
    x = np.asarray(x)
    if x.dtype.kind == "f" and dtype == np.uint32:
        x = x.astype(np.int64)  # NumPy's loops over several numbers give something else for what does not fit
    return x.astype(dtype)


astype = Elementwise(
    "astype", _convert, 1,
    code=lambda x, dtype: f"np.asarray({{0}}, np.{np.dtype(dtype)})",
    kind="given", native="cast", takes_complex=True,
    complex_step=lambda x, dtype: x if np.dtype(dtype).kind == "f" else np.real(x).astype(dtype),
    examples=lambda draw: [((draw(*shape),), {"dtype": np.dtype(dtype)})
                           for shape in ((), (2, 3), (0, 3)) for dtype in ((np.complex128, np.complex64) if draw.dtype.kind == "c" else (np.float64, np.float32, np.int64))],
    latex="{0}",
    doc="The same numbers in another dtype: the op behind `bprop.astype`.",
)  # fmt: skip

stop_gradient = Elementwise(
    "stop_gradient", np.asarray, None,
    code="{0}", native=lambda x: x, takes_complex=True, complex_step=np.real, latex=r"\operatorname{{sg}}({0})",
    doc="""y = x, taken as a constant: no derivative flows through it.

    ``x``: any shape and dtype.

    **Source:** JAX, ``lax.stop_gradient``.

    >>> import bprop
    >>> bprop.grad(lambda x: x * bprop.stop_gradient(x))(3.0)
    Array(3.)
    """,
)  # fmt: skip
FUNCTIONS["stop_gradient"] = stop_gradient


# --- a function has no slope where it has no value ---
def _within(x: Any, low: float, high: float) -> Any:
    outside = x < low if high == inf else (x < low) | (x > high)
    return np.where(outside, nan, x) if outside.any() else x


_within_domain = Elementwise(
    "within_domain", _within, 1,
    kind="float", native=lambda x, low, high: where(x < low if high == inf else (x < low) | (x > high), nan, x),
    complex_step=lambda z, low, high: z, role="identity", text="{0}", latex="{0}", level=4,
    examples=lambda draw: [((draw(*shape, domain=(0, 1)),), {"low": 0, "high": high})
                           for shape in ((), (2, 3), (0, 3)) for high in (1, inf)],
    doc="x between ``low`` and ``high``, both included, else NaN: what a slope is computed from, and what it reads as is x.",
)  # fmt: skip


def within_domain(x: Any, low: float = -inf, high: float = inf) -> Any:
    """Return x between ``low`` and ``high``, and NaN outside; a complex x as it is, for which the function goes on."""
    return x if x.dtype.kind == "c" else _within_domain(x, low=low, high=high)


# --- clip: x itself at the bounds, where maximum and minimum would share ---
def _not(condition: Any) -> Any:
    return FUNCTIONS["logical_not"](condition)


def _bounded(name: str, evaluate: Any, native: Any, step: Any, *shares: Any) -> Selection:
    return Selection(
        name, evaluate, *shares, native=native, complex_step=step,
        code={"at_least": "np.maximum({0}, {1})", "at_most": "np.minimum({0}, {1})"}.get(name),
        latex=r"\operatorname{{" + name.replace("_", " ") + "}}(" + ", ".join(f"{{{i}}}" for i in range(len(shares))) + ")",
        doc=f"The op behind `bprop.clip` called {name}.",
    )  # fmt: skip


_at_least = _bounded(
    "at_least", np.maximum, "maximum", lambda x, low: np.where(np.real(x) >= np.real(low), x, low),
    lambda y, x, low: _not(x < low), lambda y, x, low: x < low,
)  # fmt: skip
_at_most = _bounded(
    "at_most", np.minimum, "minimum", lambda x, high: np.where(np.real(x) <= np.real(high), x, high),
    lambda y, x, high: _not(x > high), lambda y, x, high: x > high,
)  # fmt: skip
_clip_op = _bounded(
    "clip", lambda x, low, high: np.minimum(np.maximum(x, low), high),
    lambda x, low, high: minimum(maximum(x, low), high),
    lambda x, low, high: _at_most.complex_step(_at_least.complex_step(x, low), high),  # type: ignore[misc]
    lambda y, x, low, high: _not((x < low) | (x > high) | (low > high)),
    lambda y, x, low, high: (x < low) & _not(low > high),
    lambda y, x, low, high: (x > high) | (low > high),
)  # fmt: skip


@function()
def clip(x: Any, /, min: Any = None, max: Any = None) -> Array:
    """y = x between ``min`` and ``max``, the nearer bound outside; a bound that is ``None`` limits nothing.

    The derivative is that of x for min ≤ x ≤ max, the bounds included, and that of the bound outside. Shapes of all
    three broadcast; dtypes promote. A NaN in any of them stays NaN; where min > max the result is max.

    **Source:** Python Array API standard 2024.12, ``clip``; PyTorch's convention at the bounds.

    >>> import bprop
    >>> bprop.clip(bprop.asarray([-2.0, 0.5, 3.0]), 0, 1)
    Array([0. , 0.5, 1. ])
    >>> bprop.grad(lambda x: bprop.sum(bprop.clip(x, 0, 1)))(bprop.asarray([-2.0, 0.0, 3.0]))
    Array([0., 1., 0.])
    """
    x = array("clip", x)
    if min is None and max is None:
        return x
    min, max = (
        bound if bound is None or type(bound) in (*WEAK, TracedFloat) else array("clip", bound) for bound in (min, max)
    )
    broadcast("clip", x.shape, *(bound.shape for bound in (min, max) if isinstance(bound, Array)))
    if min is None:
        y: Array = _at_most(x, max)
    else:
        y = _at_least(x, min) if max is None else _clip_op(x, min, max)
    return y
