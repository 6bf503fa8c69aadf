"""`tie`: one parameter under two names."""

from typing import Any

from ..core.cell import PARAMETERS, Cell
from ..core.error import ArgumentError, DTypeError, ShapeError, StateError
from ..core.interpreter import EVALUATE, current
from .module import Module

__all__ = ["tie"]


def tie(module: Module, path: str, source: str) -> None:
    """Make the parameter at ``path`` of ``module`` the one at ``source``: from now on there is one, with two names.

    Paths are those of `parameters`; in a container they may also begin with a number or name of a layer, ``"0.W"``. What
    ``path`` held is dropped; an attribute that is not there yet is made. The parameter is once in `parameters`,
    ``state_dict`` and files, by the path that comes first, with the sum of both gradients and one slot in an optimizer; a
    gradient by a handwritten ``bprop`` is left beside the name it was used by, and ``module.gradients()`` adds them up. Tie
    before the first update. To use a whole module in two places, give the same module to both.

    Raises `ArgumentError` for paths that lead to no parameter, or to the same attribute, `ShapeError` and `DTypeError` where
    the two differ.

    **Source:** Press & Wolf (2017), Using the output embedding to improve language models.

    >>> import bprop
    >>> from bprop import nn
    >>> class Autoencoder(nn.Module):
    ...     def __init__(self):
    ...         self.e, self.d = nn.Linear(3, 3), nn.Linear(3, 3)
    ...         nn.tie(self, "d.W", "e.W")
    ...     def fprop(self, x):
    ...         return self.d(self.e(x))
    >>> list(Autoencoder().parameters())
    ['e.W', 'e.b', 'd.b']
    """
    if not isinstance(module, Module):
        raise ArgumentError(f"tie: the first argument is the module that holds both parameters, not {module!r:.60}")
    if current() is not EVALUATE:
        raise StateError(
            f"tie inside {current().name}: which parameters a module has is settled before it is transformed"
        )
    (kept, last, cell), (holder, name, old) = _found(module, source), _found(module, path)
    if holder is kept and name == last:
        raise ArgumentError(f"tie: {path!r} and {source!r} are the same attribute: name two")
    if cell is None:
        raise _unknown(module, source)
    if old is cell:
        return
    if old is None and hasattr(holder, name):
        raise ArgumentError(f"tie: {path!r} is {type(getattr(holder, name)).__name__}, not a parameter")
    for one, where in ((cell, source), (old, path)):
        if one is not None and one not in PARAMETERS:
            raise ArgumentError(
                f"tie: {where!r} is a state, which is not trained: parameters are tied, by nn.parameter(…)"
            )
    if old is not None:
        _check(cell, old, path, source)
    holder.__dict__.setdefault("_cells", {})[name] = cell
    holder.__dict__.get("_bars", {}).pop(name, None)
    cell.shared = True  # and a mark of a change, for compiled functions


def _check(cell: Cell, old: Cell, path: str, source: str) -> None:
    new, spec = cell.array.spec, old.array.spec
    if new.shape != spec.shape:
        turned = new.shape == spec.shape[::-1]
        advice = (
            f": use the transposed parameter in fprop instead, x @ self.{source}, and drop {path!r}" if turned else ""
        )
        raise ShapeError(f"tie: {path!r} has shape {spec.shape} and {source!r} has shape {new.shape}{advice}")
    if new.dtype != spec.dtype:
        raise DTypeError(f"tie: {path!r} is {spec.dtype} and {source!r} is {new.dtype}")


def _found(module: Module, path: str) -> tuple[Module, str, Cell | None]:
    """Return the module, the name of the attribute, and the cell that is there now."""
    if not isinstance(path, str) or not path or "" in path.split("."):
        raise ArgumentError(f"tie: a path is names joined by points, such as 'layers.0.W', not {path!r:.60}")
    holder, rest = module, path
    while "." in rest:
        inside = [
            (name, one) for name, one in holder.children() if rest.startswith(f"{name}.") and isinstance(one, Module)
        ]
        if inside:
            name, holder = max(inside, key=lambda pair: len(pair[0]))
            rest = rest[len(name) + 1 :]
            continue
        name, _, rest = rest.partition(".")
        layers: Any = getattr(holder, "layers", None)
        keyed = layers if isinstance(layers, dict) else {str(i): one for i, one in enumerate(layers or ())}
        if name not in keyed:
            raise _unknown(module, path)
        holder = keyed[name]
    return holder, rest, holder.__dict__.get("_cells", {}).get(rest)


def _unknown(module: Module, path: str) -> ArgumentError:
    shown = ", ".join(name for name, cell in module.cells().items() if cell in PARAMETERS)
    return ArgumentError(f"tie: {type(module).__name__} has no parameter {path!r}; it has {shown or 'none'}")
