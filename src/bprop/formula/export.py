"""`export`: a function and its gradient as NumPy code and as LaTeX, for a program or a paper that has no bprop."""

from collections.abc import Callable, Sequence
from functools import wraps
from keyword import iskeyword
from pathlib import Path
from typing import Any

from ..compile.passes.inline import inline
from ..core.elementwise import Selection
from ..core.error import ArgumentError, BpropError
from ..core.family import Region
from ..core.file import write_whole
from ..core.graph import Graph
from ..core.interpreter import using
from ..core.simplify import simplify
from ..gradients.argument import Arguments, traced
from ..gradients.variable import Argnums, as_scalar, name_of
from .equation import Equation, Formulas
from .mathml import aligned
from .numpy_code import HELPERS, NUMPY
from .symbolic import by_reverse_rule

WRITTEN = 1000
"""How many numbers a constant array may have to be written into the source; a larger one is an argument."""


class Export:
    """A function and its gradient, written out: ``numpy``, the source of a NumPy function; ``latex`` and ``text``, equations.

    ``save`` writes one of them to a file. The source computes as bprop does and keeps its digits; LaTeX and text are arranged as
    textbooks do: 1 - tanh(x)² is 0 in floating-point numbers from x = 19 on.
    """

    def __init__(self, name: str, graph: Graph, inputs: list[str], outputs: list[str]) -> None:
        self.name = name
        self._graph = graph
        self._inputs = inputs
        self._outputs = outputs

    @property
    def numpy(self) -> str:
        """The source of a Python module with one function, which needs NumPy, and SciPy where it says so."""
        graph = simplify(self._graph, algebraic=True)
        names = dict(zip(graph.inputs, self._inputs, strict=True))
        constants, arguments = [], []
        for position, (node, value) in enumerate(graph.captures):
            data = value.concrete()
            if data is None or not data.shape:
                continue
            name = f"c{position}"
            while name in self._inputs:
                name += "_"
            names[node] = name
            if data.size <= WRITTEN:
                constants.append(f"{name} = np.array({NUMPY.array_literal(data)}, np.{data.dtype})")
            else:
                arguments.append((name, f"{name}: {value.spec}, a constant of the function"))
        inputs = [*graph.inputs, *(node for node, _ in graph.captures if node in names)]
        graph = Graph(inputs, graph.nodes, graph.outputs, [pair for pair in graph.captures if pair[0] not in names])
        parameters = [*self._inputs, *(name for name, _ in arguments)]
        groups = Formulas(graph, names, self._outputs, 1, arrange=False).run()
        body = [f"    {name} = {expression.written(NUMPY)}" for group in groups for name, expression in group]
        helpers = [source for name, source in HELPERS.items() if any(f"{name}(" in line for line in body)]
        modules = ["import numpy as np"] + ["from scipy import special"] * any("special." in line for line in body)
        specs = [f"{name}: {node.specs[0]}" for name, node in zip(self._inputs, graph.inputs, strict=False)]
        specs += [text for _, text in arguments]
        head = [f"def value_and_grad({', '.join(parameters)}):", f'    """Return {self.name} and its gradient.', ""]
        head += [f"    {line}" for line in specs] + ['    """']
        result = f"    return {', '.join(self._outputs)}"
        top = "\n".join([*modules, *[""] * bool(constants), *constants])
        parts = [top, *(helper.rstrip() for helper in helpers), "\n".join([*head, *body, result])]
        return "\n\n\n".join(parts) + "\n"

    @property
    def _equations(self) -> list[Equation]:
        names = dict(zip(self._graph.inputs, self._inputs, strict=True))
        groups = Formulas(self._graph, names, self._outputs, 1).run()
        return [Equation("", name, expression) for group in groups for name, expression in group]

    @property
    def text(self) -> str:
        """The equations as text, one a line."""
        return "\n".join(equation.text for equation in self._equations)

    @property
    def latex(self) -> str:
        """The equations as LaTeX, aligned at the equals signs, for mathematics mode."""
        rows = " \\\\\n".join(equation.latex for equation in self._equations)
        return f"\\begin{{aligned}}\n{rows}\n\\end{{aligned}}"

    @property
    def mathml(self) -> str:
        """The equations as MathML, for a page."""
        return aligned([equation.sides for equation in self._equations])

    def save(self, path: str | Path) -> None:
        """Write the source (``.py``), the LaTeX (``.tex``) or the text (``.txt``) to a file, by its suffix."""
        suffix = Path(path).suffix
        kinds = {".py": "numpy", ".tex": "latex", ".txt": "text"}
        if suffix not in kinds:
            raise ArgumentError(f"export: the suffix is one of {', '.join(kinds)}, not {suffix!r}")
        write_whole(Path(path), getattr(self, kinds[suffix]).encode(), lasting=False)

    def __str__(self) -> str:
        return self.numpy

    def __repr__(self) -> str:
        return f"Export of {self.name}:\n{self.text}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"


def export(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Export]:
    """Return a function that writes out the scalar function ``f`` and its gradient as NumPy code and as LaTeX: see `Export`.

    Called like ``f``; of the arguments only the shapes matter, and which branch of a Python ``if`` they take. ``argnums``: by which
    arguments. Raises `ShapeError` where f's value is no scalar, `BpropError` naming the op for what NumPy and SciPy do not have, and for
    loops (scan, while).

    **Source:** reverse-mode differentiation by source transformation, as in Tapenade (Hascoët & Pascual, 2013).

    >>> import bprop, numpy as np
    >>> e = bprop.export(lambda w, x, t: np.sum((t - np.tanh(x @ w)) ** 2))(np.ones(2), np.ones((3, 2)), np.ones(3))
    >>> print(e.numpy)
    import numpy as np
    <BLANKLINE>
    <BLANKLINE>
    def value_and_grad(w, x, t):
        \"\"\"Return <lambda> and its gradient.
    <BLANKLINE>
        w: float64[2]
        x: float64[3,2]
        t: float64[3]
        \"\"\"
        u = x @ w
        v = t - np.tanh(u)
        E = np.sum(v ** 2)
        w_bar = x.T @ (-2 * v * (4 * np.exp(-2 * abs(u)) / (1 + np.exp(-2 * abs(u))) ** 2))
        return E, w_bar
    <BLANKLINE>
    """
    what = f"export of {name_of(f)}"

    @wraps(f, updated=())
    def exported(*args: Any, **options: Any) -> Export:
        arguments = Arguments(f, args, options, argnums, what)
        tracer, inputs, y = traced(arguments, what, lambda result: as_scalar(result, what))
        with using(tracer):
            # without a branch there is none that was not taken, and 0 · ∞ cannot come from there
            branches = any(isinstance(node.op, Selection | Region) for node in tracer.nodes)
            bars = by_reverse_rule(arguments, tracer, y, inputs, branches)
        graph = tracer.graph([y, *bars])
        if any(isinstance(node.op, Region) for node in graph.nodes):
            graph = inline(graph)
        loops = [node.op.name for node in graph.nodes if isinstance(node.op, Region)]
        if loops:
            raise BpropError(
                f"{what}: {loops[0]} holds a function, which is not written out: write it as a Python loop"
            )
        names = _identifiers(arguments.names)
        named = [f"{names[position]}_bar" for position in arguments.chosen]
        return Export(name_of(f), graph, names, ["E", *named])

    return exported


def _identifiers(names: Sequence[str]) -> list[str]:
    """Return the names of leaves as Python takes them, each once: params_W for params['W']. Those that the source needs are taken."""
    taken, identifiers = {"E", "abs", "np", "special", *HELPERS}, []
    for name in names:
        text = "".join(letter if letter.isalnum() else "_" for letter in name.replace("'", "").replace("]", ""))
        text = text if text.isidentifier() and not iskeyword(text) else f"x{text}"
        while text in taken or (text.endswith("_bar") and text[:-4] in taken):
            text += "_"
        taken |= {text, f"{text}_bar"}
        identifiers.append(text)
    return identifiers


__all__ = ["Export", "export"]
