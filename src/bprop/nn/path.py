"""What a module holds, by path: children, cells, parameters, and their numbers as a mapping that can be kept and loaded.

A path is the attributes on the way joined by points, ``layers.0.W``. Gradients, weights in files and mappings of numbers
all use these names.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..core.cell import Cell
from ..core.error import ArgumentError, BpropError, DTypeError, ShapeError
from ..core.tree import is_holder
from ..core.value import Array, asarray


class Paths:
    """The part of `Module` that finds what is inside: attributes that are cells, modules, or lists and dicts of modules."""

    training: bool

    # --- what is inside ---
    def children(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, module or other holder of cells) for attributes and members of lists and dicts, nested too."""
        for name, value in self.__dict__.items():
            if not name.startswith("_"):
                yield from ((path, one) for path, one in leaves(name, value) if is_holder(one))

    def modules(self, prefix: str = "") -> Iterator[tuple[str, Self]]:
        """Yield (path, module) for this module (path ``""``) and all inside, each once."""
        seen: set[int] = set()

        def walk(module: Any, path: str) -> Iterator[tuple[str, Any]]:
            if id(module) in seen:
                return
            seen.add(id(module))
            yield path, module
            for name, child in module.children():
                if isinstance(child, Paths):
                    yield from walk(child, f"{path}.{name}" if path else name)

        return walk(self, prefix)

    def cells(self) -> dict[str, Cell]:
        """Return every cell by path: parameters, states, generators. A shared cell appears once."""
        found: dict[str, Cell] = {}
        seen: set[int] = set()
        for path, module in self.modules():
            own = dict(module.__dict__.get("_cells", {}))
            for name, child in module.children():
                if not isinstance(child, Paths):
                    own.update({f"{name}.{key}": cell for key, cell in child.cells().items()})
            for name, cell in own.items():
                if id(cell) not in seen:
                    seen.add(id(cell))
                    found[f"{path}.{name}" if path else name] = cell
        return found

    def parameters(self) -> dict[str, Array]:
        """Return the trainable arrays by path, in the order of the attributes; a shared parameter appears once.

        >>> from bprop import nn
        >>> list(nn.Sequential(nn.Linear(3, 2), nn.Tanh()).parameters())
        ['layers.0.W', 'layers.0.b']
        """
        return {path: cell.read() for path, cell in self.cells().items() if cell.trainable}

    # --- numbers ---
    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the numbers of every cell by path: parameters, running statistics, generators.

        >>> from bprop import nn
        >>> {path: array.shape for path, array in nn.Linear(3, 2).state_dict().items()}
        {'W': (2, 3), 'b': (2,)}
        """
        return {path: np.array(cell.read(), order="C") for path, cell in self.cells().items()}

    def load_state_dict(self, mapping: Mapping[str, Any], strict: bool = True) -> None:
        """Set the cells to the numbers of ``mapping``, by path, as `state_dict` gave them.

        All names, shapes and dtypes are checked first, and nothing is changed if any is wrong: one error names every path
        that is missing, of another shape or dtype, or unknown (`ArgumentError`, `ShapeError`, `DTypeError`: by the first).
        With ``strict=False`` missing and unknown paths are passed over.

        >>> from bprop import nn
        >>> first, second = nn.Linear(3, 2), nn.Linear(3, 2)
        >>> second.load_state_dict(first.state_dict())
        >>> bool((first.W == second.W).numpy().all())
        True
        """
        load_cells(self, mapping, "load_state_dict", "the mapping", strict)

    # --- switches ---
    def train(self, training: bool = True) -> Self:
        """Switch to training mode (dropout on); returns the module."""
        for _, module in self.modules():
            module.training = training
        return self

    def eval(self) -> Self:
        """Switch to evaluation mode (dropout off); returns the module."""
        return self.train(False)

    def freeze(self) -> Self:
        """Keep the parameters of this module, and of those inside, as they are; returns the module.

        They are no longer among `parameters` and get no gradient; `unfreeze` makes them trainable again. An optimizer
        that has already begun passes them over.

        >>> from bprop import nn
        >>> model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2))
        >>> _ = model[0].freeze()
        >>> list(model.parameters())
        ['layers.2.W', 'layers.2.b']
        """
        for cell in self.cells().values():
            if cell.trainable:
                cell.trainable, cell.frozen = False, True
        return self

    def unfreeze(self) -> Self:
        """Undo `freeze`; returns the module."""
        for cell in self.cells().values():
            if cell.frozen:
                cell.trainable, cell.frozen = True, False
        return self

    # --- text ---
    def __repr__(self) -> str:
        inner = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.children()]
        head = f"{type(self).__name__}({self.describe()}"
        return head + ("\n" + "\n".join(inner) + "\n)" if inner else ")")

    def describe(self) -> str:
        """Return what stands between the parentheses of ``repr``: the shapes of own parameters."""
        own = self.__dict__.get("_cells", {})
        return ", ".join(f"{name}: {cell.array.spec}" for name, cell in own.items())


def load_cells(holder: Any, arrays: Mapping[str, Any], what: str, source: str, strict: bool = True) -> None:
    """Write the arrays from ``source`` into the cells of ``holder`` with the same paths: all of them or, with an error
    that names everything that is wrong, none.
    """
    cells, kind = holder.cells(), type(holder).__name__
    if not isinstance(arrays, Mapping):
        raise ArgumentError(f"{what}: weights are a mapping from paths to arrays, not {type(arrays).__name__}")
    given = {name: np.asarray(array if name not in cells else asarray(array)) for name, array in arrays.items()}
    wrong: list[tuple[type[BpropError], str]] = []
    if strict:
        wrong += [
            (ArgumentError, f"{source} has no {name!r}, which {kind} needs") for name in cells if name not in given
        ]
    for name, cell in cells.items():
        if name in given:
            array, spec = given[name], cell.read().spec
            if array.shape != spec.shape:
                wrong.append((ShapeError, f"{name!r} has shape {array.shape} in {source} and {spec.shape} in {kind}"))
            elif array.dtype != spec.dtype:
                wrong.append((DTypeError, f"{name!r} is {array.dtype} in {source} and {spec.dtype} in {kind}"))
    if strict:
        unknown = [name for name in given if name not in cells]
        wrong += [(ArgumentError, f"{source} has {name!r}, which {kind} does not have") for name in unknown]
    if wrong:
        error, first = wrong[0]
        raise error(f"{what}: {'; '.join([first, *(text for _, text in wrong[1:])])}")
    for name, cell in cells.items():
        if name in given:
            cell.write(Array(given[name].copy()))


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, object) for what an attribute holds, through lists, tuples and dicts."""
    if isinstance(value, list | tuple | dict):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(f"{name}.{key}", one)
    else:
        yield name, value


__all__ = ["Paths", "leaves", "load_cells"]
