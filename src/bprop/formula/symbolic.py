"""Way 1, naive analytical differentiation: the chain rule applied to the formula, giving a formula again.

The lecture's first way to a gradient: write f out as one nested formula and differentiate it with the rules of
calculus. The result is right, can be read and printed, and is longer than f by a factor that grows with the depth of
the nesting: every factor of a product is repeated in every term of its derivative. `Expression.size` counts this
swelling; reverse mode avoids it by naming intermediate results once.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from ..core.graph import Edge, Graph
from ..core.interpreter import StateScope, current, using
from ..core.object_array import rejoined
from ..core.trace import Trace, Traced
from ..core.tree import unflatten
from ..core.value import Array
from ..gradients.absent import masked_sweep
from ..gradients.adjoint import adjoint
from ..gradients.argument import Arguments, traced
from ..gradients.forward import Forward
from ..gradients.variable import Argnums, as_arrays, as_scalar, name_of, refuse_arguments, refuse_complex
from ..ops import ones, zeros
from .formula import Expression
from .readable import readable

Function = Callable[..., Any]


def expression(f: Function, /, *args: Any, **options: Any) -> Any:
    """Return a function that gives ``f`` as an `Expression` of its arguments' names: text and LaTeX.

    ``expression(f, *args, **options)`` is ``expression(f)(*args, **options)``. Only the shapes of the arguments matter. A result that is
    a tree gives a tree of expressions. Raises `TracedValueError` where ``f`` decides on a number with a Python ``if``.

    **Source:** Leibe (2016), computational graphs.

    >>> import bprop, numpy as np
    >>> bprop.expression(lambda w, x, t: np.sum((t - x @ w) ** 2))(np.ones(2), np.ones((3, 2)), np.ones(3))
    sum((t - x @ w) ** 2)
    """
    what = f"expression of {name_of(f)}"

    @wraps(f, updated=())
    def expressed(*args: Any, **options: Any) -> Any:
        arguments = Arguments(f, args, options, None, what)
        tracer, _, result = traced(arguments, what, lambda result: rejoined(current(), result))
        outputs, structure = as_arrays(result, what)
        graphs = [tracer.graph([y]) for y in outputs]
        return unflatten(structure, [Expression(graph, arguments.names) for graph in graphs])

    return expressed(*args, **options) if args or options else expressed


def symbolic(f: Function, argnums: Argnums = 0) -> Function:
    """Return a function that gives the derivative of the scalar function ``f`` as an `Expression`.

    ``symbolic(f)(*args)`` is a formula of the names of f's arguments: of the shape of argument ``argnums``, or a tree
    of formulas where the argument is one. A scalar function of scalars is differentiated as in a textbook; where arrays
    take part the formula is one of matrix calculus. The numbers in ``args`` do not matter, only shapes and dtypes; the
    formula can be called with others. Raises `ShapeError` where f's value is no scalar.

    **Source:** Leibe (2016), naive analytical differentiation.

    >>> import bprop, numpy as np
    >>> derivative = bprop.symbolic(lambda x: x**2 * np.exp(x))(1.0)
    >>> derivative
    2 * x * exp(x) + x ** 2 * exp(x)
    >>> print(derivative.latex)
    2 \\, x \\, e^{x} + x^{2} \\, e^{x}
    >>> derivative(0.5)
    Array(2.06090159)
    >>> bprop.symbolic(lambda w, x, t: np.sum((x @ w - t) ** 2))(np.ones(2), np.ones((3, 2)), np.ones(3))
    x.T @ (2 * (x @ w - t))
    """
    refuse_arguments(argnums, "symbolic")
    what = f"symbolic derivative of {name_of(f)}"

    @wraps(f, updated=())
    def differentiated(*args: Any, **options: Any) -> Any:
        arguments = Arguments(f, args, options, argnums, what)
        tracer, inputs, y = traced(arguments, what, lambda result: as_scalar(result, what))
        refuse_complex([spec for node in (*tracer.inputs, *tracer.nodes) for spec in node.specs], what)
        rule = _by_chain_rule if _of_scalars(tracer, arguments) else by_reverse_rule

        def graphs(masked: bool) -> list[Graph]:
            with using(tracer):
                return [tracer.graph([bar]) for bar in rule(arguments, tracer, y, inputs, masked)]

        plain = graphs(masked=False)
        formulas = [
            Expression(readable(graph), arguments.names, lambda position=position: graphs(masked=True)[position])  # type: ignore[misc]
            for position, graph in enumerate(plain)
        ]
        return arguments.tree(formulas)

    return differentiated


def _of_scalars(tracer: Trace, arguments: Arguments) -> bool:
    specs = [spec for node in tracer.nodes for spec in node.specs] + [value.spec for value in arguments.values]
    return all(spec.shape == () for spec in specs)


def _by_chain_rule(arguments: Arguments, tracer: Trace, y: Any, inputs: list[Traced], masked: bool) -> list[Any]:
    """d/dx from the inside out: (f(u))' = f'(u) u', one differentiation per variable."""
    bars = []
    for position in arguments.chosen:
        with using(StateScope()):
            owner = Forward(masks=masked)
            values: list[Any] = list(inputs)
            values[position] = owner.dual(inputs[position], ones((), dtype=inputs[position].dtype))
            with using(owner):
                result = arguments(values)
            y_dot = owner.tangent(result)
        bars.append(zeros((), dtype=inputs[position].dtype) if y_dot is None else y_dot)
    return bars


def by_reverse_rule(arguments: Arguments, tracer: Trace, y: Any, inputs: list[Traced], masked: bool) -> list[Any]:
    """Matrix calculus: the differential y_bar · dy rearranged for each variable in turn, from the outside in: one cotangent each.

    ``masked``: what was not chosen by a case has no derivative there, and 0 · ∞ does not come from it.
    """
    graph = tracer.graph([y])
    values: dict[Edge, Array] = {node.output: value for node, value in graph.captures}
    for node in [*graph.inputs, *graph.nodes]:
        values.update({edge: Traced(tracer, *edge) for edge in node.outputs})
    wanted: list[Edge] = [inputs[position].node.output for position in arguments.chosen]
    sweep = adjoint(graph.nodes, values, graph.outputs[:1], wanted)
    seeds: list[Any] = [ones((), dtype=y.dtype)]
    bars = masked_sweep(sweep, seeds) if masked else sweep(seeds)
    return [
        zeros(x.shape, dtype=x.dtype) if bar is None else bar
        for bar, x in zip(bars, (values[e] for e in wanted), strict=True)
    ]


__all__ = ["by_reverse_rule", "expression", "symbolic"]
