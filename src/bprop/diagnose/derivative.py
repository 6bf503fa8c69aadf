"""`derivative`: one gradient, by any of the lecture's ways."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, get_args

from ..core.error import ArgumentError
from ..core.tree import map
from ..formula.symbolic import symbolic
from ..gradients.jacobian import jacobian
from ..gradients.numerical import numerical
from ..gradients.paths import LIMIT, paths
from ..gradients.transform import grad
from ..gradients.variable import Argnums, as_scalar, name_of

Method = Literal["symbolic", "paths", "numerical", "forward", "reverse"]
Function = Callable[..., Any]


def derivative(f: Function, method: Method = "reverse", argnums: Argnums = 0, **options: Any) -> Function:
    """Return the gradient of the scalar function ``f``, by the way that ``method`` names.

    ============= ============================================================ =============================
    method        how                                                          cost, for n inputs
    ============= ============================================================ =============================
    ``symbolic``  the derivative as a formula (`symbolic`), then evaluated     the size of the formula
    ``paths``     the sum over all paths (`paths`); ``limit=10_000``           one product per path: nᴸ
    ``numerical`` differences (`numerical`); ``scheme``, ``step``, ``dtype``   n evaluations of f or more
    ``forward``   dual numbers, one tangent per input (`jvp`), as a batch      n evaluations of f
    ``reverse``   one sweep backwards (`grad`); ``unreached``                  about 4 evaluations of f
    ============= ============================================================ =============================

    All give the same gradient, in the structure of argument ``argnums``. ``options`` are those in the table. The lecture's third way, backpropagation
    layer by layer, is what modules do: `nn.Module.fprop` and `nn.Module.bprop`. Raises `ArgumentError` naming the
    methods, `ShapeError` where f's value is no scalar.

    **Source:** Leibe (2016), Backpropagation, computing gradients.

    >>> import bprop
    >>> for method in ("symbolic", "paths", "numerical", "forward", "reverse"):
    ...     print(bprop.derivative(lambda x: x**2 * bprop.exp(x), method)(1.0))
    Array(8.15484549)
    Array(8.15484549)
    Array(8.15484549)
    Array(8.15484549)
    Array(8.15484549)
    """
    allowed = {"paths": {"limit"}, "numerical": {"scheme", "step", "error", "dtype"}, "reverse": {"unreached"}}
    if method not in get_args(Method):
        raise ArgumentError(
            f"derivative: method is one of {', '.join(repr(name) for name in get_args(Method))}, not {method!r}"
        )
    unknown = set(options) - allowed.get(method, set())
    if unknown:
        possible = ", ".join(sorted(allowed.get(method, ()))) or "none"
        raise ArgumentError(
            f"derivative: method={method!r} has no option {', '.join(sorted(unknown))} (it has: {possible})"
        )
    if method == "reverse":
        return grad(f, argnums, **options)
    if method == "numerical":
        return numerical(_scalar(f), argnums, **options)
    if method == "forward":
        return jacobian(_scalar(f), argnums, mode="forward")

    @wraps(f, updated=())
    def gradient(*args: Any, **others: Any) -> Any:
        if method == "paths":
            return paths(f, argnums)(*args, **others).sum(options.get("limit", LIMIT))
        formulas = symbolic(f, argnums)(*args, **others)
        return map(lambda formula: formula(*args, *others.values()), formulas)

    return gradient


def _scalar(f: Function) -> Function:
    """Refuse what is no scalar, as `grad` does: a Jacobian is no gradient."""

    @wraps(f, updated=())
    def scalar(*args: Any, **options: Any) -> Any:
        return as_scalar(f(*args, **options), f"derivative of {name_of(f)}")

    return scalar


__all__ = ["Method", "derivative"]
