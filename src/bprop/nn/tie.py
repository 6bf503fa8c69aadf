"""`tie`: one parameter under two names."""

from typing import Any

from ..core.cell import PARAMETERS, Cell
from ..core.error import ArgumentError, DTypeError, ShapeError, StateError
from ..core.interpreter import EVALUATE, current
from .module import Module

__all__ = ["tie"]


def tie(module: Module, path: str, source: str) -> None:
    """Make the parameter at ``path`` of ``module`` the one at ``source``: from now on there is one, with two names.

    - ``module``: the module that holds both.
    - ``path``: the attribute that is to be the parameter at ``source``. The parameter that it held before is dropped;
      an attribute that is not there yet is made.
    - ``source``: the path of the parameter to use, of the same shape and dtype.

    Paths are those of `parameters`. In a container they may also begin with a number or name of a layer, ``"0.W"``.

    The parameter is once in `parameters`, ``state_dict`` and files, by the path that comes first. It has the sum of
    both gradients, and one slot in an optimizer. A handwritten ``bprop`` leaves its gradient beside the name that it
    used, and ``module.gradients()`` adds them up. Tie before the first update. To use a whole module twice, give the
    same module to both places.

    Raises `ArgumentError` for paths that lead to no parameter, or to the same attribute, `ShapeError` and `DTypeError`
    where the two differ.

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
    (source_holder, source_name, cell), (holder, name, old) = _resolve(module, source), _resolve(module, path)
    if holder is source_holder and name == source_name:
        raise ArgumentError(f"tie: {path!r} and {source!r} are the same attribute: name two")
    if cell is None:
        raise _unknown(module, source)
    if old is cell:
        return
    if old is None and hasattr(holder, name):
        raise ArgumentError(f"tie: {path!r} is {type(getattr(holder, name)).__name__}, not a parameter")
    for tied, tied_path in ((cell, source), (old, path)):
        if tied is not None and tied not in PARAMETERS:
            raise ArgumentError(
                f"tie: {tied_path!r} is a state, which is not trained: parameters are tied, by nn.parameter(…)"
            )
    if old is not None:
        _check(cell, old, path, source)
    holder.__dict__.setdefault("_cells", {})[name] = cell
    holder.__dict__.get("_gradients", {}).pop(name, None)
    cell.shared = True  # and a mark of a change, for compiled functions


def _check(cell: Cell, old: Cell, path: str, source: str) -> None:
    """Refuse to put ``cell`` in place of ``old`` if their shapes or dtypes differ."""
    new, spec = cell.array.spec, old.array.spec
    if new.shape != spec.shape:
        transposed = new.shape == spec.shape[::-1]
        advice = (
            f": use the transposed parameter in fprop instead, x @ self.{source}, and drop {path!r}"
            if transposed
            else ""
        )
        raise ShapeError(f"tie: {path!r} has shape {spec.shape} and {source!r} has shape {new.shape}{advice}")
    if new.dtype != spec.dtype:
        raise DTypeError(f"tie: {path!r} is {spec.dtype} and {source!r} is {new.dtype}")


def _resolve(module: Module, path: str) -> tuple[Module, str, Cell | None]:
    """Return what a path leads to: the module, the name of its attribute, and the cell in it, if there is one."""
    if not isinstance(path, str) or not path or "" in path.split("."):
        raise ArgumentError(f"tie: a path is names joined by points, such as 'layers.0.W', not {path!r:.60}")
    holder, rest = module, path
    while "." in rest:
        fitting = [
            (name, child)
            for name, child in holder.children()
            if rest.startswith(f"{name}.") and isinstance(child, Module)
        ]
        if fitting:
            name, holder = max(fitting, key=lambda pair: len(pair[0]))
            rest = rest[len(name) + 1 :]
            continue
        name, _, rest = rest.partition(".")
        layers: Any = getattr(holder, "layers", None)
        by_name = layers if isinstance(layers, dict) else {str(i): layer for i, layer in enumerate(layers or ())}
        if name not in by_name:
            raise _unknown(module, path)
        holder = by_name[name]
    return holder, rest, holder.__dict__.get("_cells", {}).get(rest)


def _unknown(module: Module, path: str) -> ArgumentError:
    parameters = ", ".join(name for name, cell in module.cells().items() if cell in PARAMETERS)
    return ArgumentError(f"tie: {type(module).__name__} has no parameter {path!r}; it has {parameters or 'none'}")
