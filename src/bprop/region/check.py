"""What regions check of the functions they get and of what these return; messages name the leaf of the tree."""

from collections.abc import Callable, Sequence
from typing import Any

from ..core.cell import Cell
from ..core.error import ArgumentError, DerivativeError, DTypeError, ShapeError
from ..core.tree import LEAF, Structure, leaf_paths
from ..core.value import Spec


def check_function(op: str, name: str, f: Any) -> None:
    """Refuse what cannot be called."""
    if not callable(f):
        raise ArgumentError(f"{op}: {name} is a function, not {type(f).__name__} ({f!r:.40})")


def hidden_paths(op: str) -> DerivativeError:
    """Return the error for what asks for the paths inside a loop."""
    return DerivativeError(
        f"{op} is one application for many turns of a loop, whose paths cannot be seen from outside: write the loop out "
        f"in Python, or use method='forward' or 'reverse'"
    )


def check_predicate(op: str, name: str, spec: Spec) -> None:
    """Refuse what is not one bool."""
    if spec.shape != ():
        raise ShapeError(
            f"{op}: {name} is {spec}, not one bool: reduce it (bprop.any, bprop.all), or choose entry by entry with "
            f"bprop.where"
        )
    if spec.dtype != bool:
        raise DTypeError(f"{op}: {name} is {spec}, not a bool: compare it, as in x != 0 or x > 0")


def check_structure(op: str, first: Structure, second: Structure, names: tuple[str, str]) -> None:
    """Raise where two trees are built differently."""
    if first != second:
        raise ArgumentError(f"{op}: {names[0]} has the structure {first}, but {names[1]} {second}: make both the same")


def check_specs(
    op: str, structure: Structure, first: Sequence[Spec], second: Sequence[Spec], names: tuple[str, str]
) -> None:
    """Raise where two trees of one structure hold arrays of different shapes or dtypes, naming the first such leaf."""
    for path, expected, actual in zip(leaf_paths(structure), first, second, strict=True):
        if expected != actual:
            error = DTypeError if expected.shape == actual.shape else ShapeError
            advice = (
                f'convert, as with .astype("{expected.dtype}")' if error is DTypeError else "make the shapes the same"
            )
            leaf = f"leaf {path}: {names[0]}" if path else names[0]
            raise error(f"{op}: {leaf} {expected}, but {names[1]} {actual}: {advice}")


def check_carry(
    op: str, structure: Structure, before: Sequence[Spec], after: Sequence[Spec], cells: Sequence[Cell]
) -> None:
    """Raise where a leaf of a loop's carry, or one of the cells behind it, changes its shape or dtype."""
    count = structure.size
    check_specs(op, structure, before[:count], after[:count], ("the carry starts as", "becomes"))
    for cell, cell_before, cell_after in zip(cells, before[count:], after[count:], strict=True):
        names = (f"{cell.name or 'a cell'} starts as", "becomes")
        check_specs(op, Structure(LEAF), [cell_before], [cell_after], names)


def input_labels(*trees: tuple[str, Structure]) -> Callable[[int], str]:
    """Return a function from the position of a closure's input to its name in messages, for inputs that are named trees."""
    labels = [f"{name}.{path}".rstrip(".") for name, tree in trees for path in leaf_paths(tree)]
    return labels.__getitem__


__all__ = ["check_carry", "check_function", "check_predicate", "check_specs", "check_structure", "input_labels"]
