"""``bprop explain``: one entry of a gradient as its chain of factors and its sum over paths."""

from typing import Annotated

import typer

from ..core.printable import printable_lines
from .example import ExampleArgument, read_example


def explain(
    example: ExampleArgument,
    parameter: Annotated[
        str,
        typer.Option(metavar="NAME[I,J]", help="Which number: layers.0.W[2,3], w[1], p['b'].", show_default=False),
    ],
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX instead.")] = False,
) -> None:
    """Explain one entry of a gradient: where it comes from, factor by factor, with the numbers.

    FILE.py:NAME names a function called without arguments that returns (f, args), or such a pair.
    """
    from .. import explain as explanation_of

    f, args = read_example(example)
    explanation = explanation_of(f, *args, parameter=parameter)
    print(printable_lines(explanation.latex if latex else explanation.text))


__all__ = ["explain"]
