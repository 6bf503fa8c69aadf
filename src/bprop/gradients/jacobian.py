"""Whole derivatives: Jacobian and Hessian, as batches of sweeps over one-hot seeds."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Literal

from ..core.error import ArgumentError
from ..core.graph import Graph
from ..core.interpreter import current
from ..core.shape import size_of
from ..core.tree import flatten, map, unflatten
from ..core.value import Array
from ..ops import arange, astype, moveaxis, reshape, zeros
from .absent import guards_sweeps, masked_sweep
from .batch import vmap
from .transform import P, check_sequences, grad, jvp, linear_map, pullback_of
from .variable import Argnums, Function, Variables, check_differentiable, name_of, positions, refuse_arguments


def _basis(shape: tuple[int, ...], dtype: Any) -> Array:
    n = size_of(shape)
    return reshape(astype(reshape(arange(n), (n, 1)) == arange(n), dtype), (n, *shape))


def jacobian(
    f: Callable[P, Any], argnums: Argnums = 0, mode: Literal["reverse", "forward"] = "reverse"
) -> Callable[P, Any]:
    """Return the Jacobian of ``f``: for a result of shape s and an argument of shape t an array of shape s + t.

    ``mode="reverse"`` runs one backward sweep per entry of the result, ``"forward"`` one tangent sweep per entry of the
    argument, all as one batch. Trees of results hold trees of arguments. Arguments not reached give zeros.

    A complex result of real arguments has a complex Jacobian; that of a real result by a complex argument holds gradients, as
    `grad` gives them. Of a complex result by a complex argument there is none, and `DTypeError` says what to write.

    **Source:** Griewank & Walther (2008), ch. 3; JAX, ``jacrev`` and ``jacfwd``.

    >>> import bprop
    >>> bprop.jacobian(bprop.square)(bprop.asarray([1.0, 2.0]))
    Array([[2., 0.],
           [0., 4.]])
    """
    if mode not in ("reverse", "forward"):
        raise ArgumentError(f"jacobian: mode is 'reverse' or 'forward', not {mode!r}")
    refuse_arguments(argnums, "jacobian")
    what = f"jacobian of {name_of(f)}"

    @wraps(f, updated=())
    def jacobian_of(*args: Any, **options: Any) -> Any:
        numbers, single = positions(argnums, len(args), what)

        def partial(*chosen: Any) -> Any:
            new = list(args)
            for number, value in zip(numbers, chosen, strict=True):
                new[number] = value
            return f(*new, **options)

        partial.__name__ = name_of(f)
        variables = [args[number] for number in numbers]
        return (_jacobian_reverse if mode == "reverse" else _jacobian_forward)(partial, variables, single, what)

    return jacobian_of


def _jacobian_reverse(f: Function, args: list[Any], single: bool, what: str) -> Any:
    result, pullback, _ = pullback_of(f, args, what)
    outputs, structure = flatten(result)
    rows = []
    for position, y in enumerate(outputs):

        def row(seed: Any, position: int = position) -> Any:
            bars = [seed if i == position else zeros(o.shape, dtype=o.dtype) for i, o in enumerate(outputs)]
            return pullback(unflatten(structure, bars), one_hot=True)

        check_differentiable(y, what, args)
        basis = _basis(y.shape, y.dtype)
        parts = vmap(row)(basis)
        if y.dtype.kind == "c":  # of the real part, and of the imaginary part
            parts = map(_complex, parts, vmap(row)(basis * 1j))
        shape = y.shape
        parts = map(lambda bar, shape=shape: reshape(bar, shape + bar.shape[1:]), parts)
        rows.append(parts[0] if single else parts)
    return unflatten(structure, rows)


def _complex(real_part: Any, imaginary_part: Any) -> Any:
    return real_part + imaginary_part * 1j


def _jacobian_forward(f: Function, args: list[Any], single: bool, what: str) -> Any:
    variables = [Variables(arg, f"{what}: argument {number}") for number, arg in enumerate(args)]
    values = [value for v in variables for value in v.read()]
    columns: list[list[Any]] = []
    structure: Any = None
    for position, x in enumerate(values):
        ys, graph, structure = linear_map(f, variables, what, position, masks=not guards_sweeps(current()))
        for y in flatten(ys)[0]:
            check_differentiable(y, what, args)

        def column(seed: Any, graph: Graph = graph) -> list[Any]:
            return masked_sweep(lambda seeds: graph(*seeds), [seed], [seed != 0])

        basis = _basis(x.shape, x.dtype)
        y_dots = vmap(column)(basis)
        if x.dtype.kind == "c":  # by the real part, and by the imaginary part
            y_dots = [_complex(*pair) for pair in zip(y_dots, vmap(column)(basis * 1j), strict=True)]
        columns.append([reshape(moveaxis(y_dot, 0, -1), y_dot.shape[1:] + x.shape) for y_dot in y_dots])
    results = []
    for output in zip(*columns, strict=True):
        flat = iter(output)
        parts = tuple(v.result([next(flat) for _ in v.values]) for v in variables)
        results.append(parts[0] if single else parts)
    return unflatten(structure, results)


def hessian(f: Callable[P, Any], argnums: Argnums = 0) -> Callable[P, Any]:
    """Return the matrix of second derivatives of the scalar function ``f``: forward over reverse.

    For an argument of shape t an array of shape t + t; nested like the argument where it is a tree.

    **Source:** Griewank & Walther (2008), ch. 5; JAX, ``jax.hessian``.

    >>> import bprop
    >>> bprop.hessian(lambda x: bprop.sum(x**3))(bprop.asarray([1.0, 2.0]))
    Array([[ 6.,  0.],
           [ 0., 12.]])
    """
    refuse_arguments(argnums, "hessian")
    return jacobian(grad(f, argnums, unreached="zeros"), argnums, mode="forward")


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Return the Hessian of the scalar function ``f`` times ``tangents``, without forming it: forward over reverse.

    The result has the structure of ``primals`` (the one primal's structure if there is only one).

    **Source:** Pearlmutter (1994), Fast exact multiplication by the Hessian.

    >>> import bprop
    >>> bprop.hvp(lambda x: bprop.sum(x**3), (bprop.asarray([1.0, 2.0]),), (bprop.ones(2),))
    Array([ 6., 12.])
    """
    check_sequences(f"hvp of {name_of(f)}", primals=primals, tangents=tangents)
    numbers: Argnums = 0 if len(primals) == 1 else tuple(range(len(primals)))
    return jvp(grad(f, numbers, unreached="zeros"), primals, tangents)[1]


__all__ = ["hessian", "hvp", "jacobian"]
