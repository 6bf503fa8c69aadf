"""`ModuleState`: what a module holds. Its attributes, its cells and modules by path, the gradients of its parameters.

It lies below everything that applies modules: rules, hooks, layerwise passes and equations know modules as this class.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from ..core.cell import PARAMETERS, Cell
from ..core.error import ArgumentError, BpropError, ShapeError, StateError
from ..core.tree import is_holder
from ..core.value import Array, Tracer, asarray
from .cell import owned, source_of
from .frame import Frame, active_frame, unchanging
from .path import leaves, load_cells
from .weight_name import Names, stored_arrays

_FRAME_NAMES = frozenset(("x", "y", "inputs", "y_bar", "x_bar"))


class ModuleState:
    """The base class of `Module`: all of a module except its application.

    An instance keeps, in its ``__dict__``, besides the user's attributes:

    - ``_cells``: its own parameters and states by name.
    - ``_name``: the attribute of another module that first held it.
    - ``_gradients``: (gradient, pass that left it) of own parameters by name.
    - ``_frames``: the frames that no ``bprop`` has used yet. ``_last_frame``: the newest frame, used or not.
    """

    # --- what a subclass declares ---
    result: str | tuple[str, ...] = "y"
    """What fprop computes is called in the equations: y, of a loss E; of a tuple the name of each entry."""
    answers: tuple[int, ...] | None = None
    """The positions of the inputs whose cotangents `bprop` returns (``None``: all); the other inputs are data."""
    composes: bool = False
    """Whether a handwritten ``bprop`` only calls the children's, so that under transforms theirs are used."""

    pytorch_names: ClassVar[Any] = {}
    """PyTorch's names of cells and of what leads to them, by path: {"W": "weight"}; an empty name leaves the part out."""

    _untraced = frozenset({"_frames", "_last_frame"})
    """Attributes that an eager ``fprop`` leaves and that are no state: compiled functions do not look at them."""

    _formula: Callable[..., Any] | None = None
    _rule: Callable[..., Any] | None = None

    training: bool = True
    hooks: dict[int, Any] = {}  # noqa: RUF012 - never written to: a module with hooks has a mapping of its own

    # --- attributes ---
    def __setattr__(self, name: str, value: Any) -> None:
        cells = self.__dict__.get("_cells", {})
        if isinstance(value, Cell):
            if not value.name:
                value.name = f"{type(self).__name__}.{name}"
            self.__dict__.setdefault("_cells", {})[name] = value
            self.__dict__.pop(name, None)
        elif name in cells:
            self._write_cell(name, cells[name], asarray(value))
        elif name.endswith("_bar") and name[:-4] in cells:
            self._assign_gradient(name[:-4], asarray(value))
        elif name == "hooks":
            raise ArgumentError(f"{self._label}.hooks is what Module.hook keeps: give the attribute another name")
        else:
            for path, leaf in leaves(name, value):
                if isinstance(leaf, Array):
                    raise self._array_refused(path, leaf)
                if isinstance(leaf, Cell):
                    raise ArgumentError(
                        f"{self._label}.{path} is a parameter or state inside a {type(value).__name__}, where it would not "
                        f"be found: give it an attribute of its own, or to a module, and put modules there"
                    )
                if isinstance(leaf, ModuleState):
                    leaf.__dict__.setdefault("_name", path)
            object.__setattr__(self, name, value)

    def _write_cell(self, name: str, cell: Cell, value: Array) -> None:
        old = cell.read()
        if value.spec != old.spec:
            raise ShapeError(f"{self._label}.{name} is {old.spec} and cannot be set to {value.spec}")
        source = source_of(value) if cell in PARAMETERS else None
        if source is not None and source is not cell:
            raise ArgumentError(
                f"{self._label}.{name} is set to the value of {source.name or 'another parameter'}, which might mean one "
                f"parameter or two: write nn.tie(module, {name!r}, …) with paths in the module that holds both, such as "
                f"nn.tie(model, 'decoder.W', 'encoder.W'), to share it, or assign a copy, np.array(…), to start there"
            )
        cell.write(owned(value))

    def _array_refused(self, path: str, value: Array) -> BpropError:
        """Return the error for an array as an attribute, which would be neither trained nor saved."""
        if isinstance(value, Tracer):
            return StateError(
                f"{self._label}.{path} = {value.spec} under {value.owner.name}: a value under a transform does not outlive "
                f"it; declare the attribute with nn.state(…) in __init__, return the value, or use self.keep({path}=…)"
            )
        source = source_of(value)
        advice = (
            ""
            if source is None
            else f", nn.tie(module, …) to share {source.name or 'the parameter'} that it is read from"
        )
        return ArgumentError(
            f"{self._label}.{path} = {value.spec}: an array that would be neither trained nor saved; write nn.parameter(…) for "
            f"what is trained, nn.state(…) for what is kept and saved{advice}, or a NumPy array, np.asarray(…), for a constant"
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        cells = self.__dict__.get("_cells", {})
        if name in cells:
            return cells[name].read()
        if name.endswith("_bar") and name[:-4] in cells:
            return self._gradient(name[:-4])
        frame: Frame | None = active_frame(self) or self.__dict__.get("_last_frame")
        if frame is not None:
            if name in _FRAME_NAMES:
                return getattr(frame, name)
            if name in frame.saved:
                return frame.saved[name]
        hint = " (it is there after fprop)" if name in _FRAME_NAMES else ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")

    def keep(self, **values: Any) -> None:
        """Keep intermediates of ``fprop`` for a handwritten ``bprop``, to be read as attributes.

        - ``values``: arrays, or anything else, by name. NumPy arrays are copied.
        """
        frame = active_frame(self)
        if frame is not None:
            frame.saved.update({name: unchanging(value) for name, value in values.items()})

    @property
    def _label(self) -> str:
        name = self.__dict__.get("_name")
        return f"{name}:{type(self).__name__}" if name else type(self).__name__

    # --- what is inside, by path ---
    def children(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, module or other holder of cells) for attributes and members of lists and dicts, nested too."""
        for name, value in self.__dict__.items():
            if not name.startswith("_"):
                yield from ((path, leaf) for path, leaf in leaves(name, value) if is_holder(leaf))

    def modules(self, prefix: str = "") -> Iterator[tuple[str, Self]]:
        """Yield (path, module) for this module and all inside, each once.

        - ``prefix``: the path of this module, with which all paths begin.
        """
        seen: set[int] = set()

        def walk(module: Any, path: str) -> Iterator[tuple[str, Any]]:
            if id(module) in seen:
                return
            seen.add(id(module))
            yield path, module
            for name, child in module.children():
                if isinstance(child, ModuleState):
                    yield from walk(child, f"{path}.{name}" if path else name)

        return walk(self, prefix)

    def cells(self) -> dict[str, Cell]:
        """Return every cell by path: parameters, states, generators. A shared cell appears once."""
        cells: dict[str, Cell] = {}
        seen: set[int] = set()
        for path, module in self.modules():
            named = dict(module.__dict__.get("_cells", {}))
            for name, child in module.children():
                if not isinstance(child, ModuleState):
                    named.update({f"{name}.{key}": cell for key, cell in child.cells().items()})
            for name, cell in named.items():
                if id(cell) not in seen:
                    seen.add(id(cell))
                    cells[f"{path}.{name}" if path else name] = cell
        return cells

    def parameters(self) -> dict[str, Array]:
        """Return the trainable arrays by path, in the order of the attributes; a shared parameter appears once.

        >>> from bprop import nn
        >>> list(nn.Sequential(nn.Linear(3, 2), nn.Tanh()).parameters())
        ['layers.0.W', 'layers.0.b']
        """
        return {path: cell.read() for path, cell in self.cells().items() if cell.trainable}

    # --- saving and loading ---
    def state_dict(self, names: Names = None) -> dict[str, NDArray[Any]]:
        """Return a copy of the array in every cell by path: parameters, running statistics, generators.

        - ``names``: ``"pytorch"`` for PyTorch's names in place of paths, which generators have none of; or a mapping, as
          for `load_state_dict`, whose names are used.

        >>> from bprop import nn
        >>> {path: array.shape for path, array in nn.Linear(3, 2).state_dict().items()}
        {'W': (2, 3), 'b': (2,)}
        >>> list(nn.Sequential(nn.Tanh(), nn.Linear(3, 2)).state_dict("pytorch"))
        ['1.weight', '1.bias']
        """
        return stored_arrays(self, names, "state_dict")

    def load_state_dict(self, mapping: Mapping[str, Any], strict: bool = True, names: Names = None) -> None:
        """Set the cells to the arrays of ``mapping``, as `state_dict` returned them, or as a module of PyTorch did.

        - ``mapping``: arrays by path, ``layers.0.W``, or PyTorch's name, ``0.weight``, each in the shape and dtype of its cell.
        - ``strict``: whether names that are missing or unknown are errors; with ``False`` they are passed over.
        - ``names``: where the mapping has other names: a dict or function from these to paths or PyTorch's names. It gives
          ``None`` for what is to be passed over, and ``nn.names.Transposed(path)`` for what is stored transposed; what is
          not in the dict has its own name.

        PyTorch has no generators, so a mapping with its names need not have them, nor ``num_batches_tracked``, which its older
        files lack. A parameter that is shared may be there
        under each of its names, with the same numbers.

        Everything is checked first, and nothing is changed if anything is wrong: one error names all that is
        missing, of another shape or dtype, or unknown (`ArgumentError`, `ShapeError`, `DTypeError`: by the first).

        >>> from bprop import nn
        >>> first, second = nn.Linear(3, 2), nn.Linear(3, 2)
        >>> second.load_state_dict(first.state_dict())
        >>> bool((first.W == second.W).numpy().all())
        True
        """
        load_cells(self, mapping, "load_state_dict", "the mapping", strict, names)

    # --- gradients of parameters ---
    def gradients(self) -> dict[str, Array]:
        """Return the parameter gradients that the last `bprop` left, by path; those of a shared parameter are summed.

        Each has the shape and dtype of its parameter. Raises `StateError` before the first `bprop`.
        """
        sums: dict[int, Array] = {}
        for _, module in self.modules():
            for name, cell in module.__dict__.get("_cells", {}).items():
                # a parameter with two names: a derived bprop leaves its gradient under the first
                if cell.trainable and (id(cell) not in sums or name in module.__dict__.get("_gradients", {})):
                    bar = module._gradient(name)
                    sums[id(cell)] = sums[id(cell)] + bar if id(cell) in sums else bar
        return {path: sums[id(cell)] for path, cell in self.cells().items() if cell.trainable}

    def _gradient(self, name: str) -> Array:
        """Return ``W_bar`` of the parameter ``W``: of the rule that is running, else of the last backward pass."""
        frame = active_frame(self)
        if frame is not None and name in frame.bars:
            bar: Array = frame.bars[name]
            return bar
        stored: tuple[Array, object] | None = self.__dict__.get("_gradients", {}).get(name)
        if stored is None:
            raise StateError(f"{self._label}.{name}_bar: no bprop has left a gradient yet")
        return stored[0]

    def _assign_gradient(self, name: str, bar: Array) -> None:
        """Carry out ``self.W_bar = bar``: into the frame of the rule that is running, else into the module."""
        expected = self.__dict__["_cells"][name].read().shape
        if bar.shape != expected:
            raise ShapeError(f"{self._label}.{name}_bar has shape {bar.shape}, {name} has shape {expected}")
        frame = active_frame(self)
        if frame is None:
            self._set_gradient(name, bar, None)
        else:
            frame.bars[name] = bar  # as with any attribute the last write counts, so that += adds once

    def _set_gradient(self, name: str, bar: Array, pass_id: object) -> None:
        """Set a gradient, or add to it if the module was applied several times in the same pass."""
        gradients: dict[str, tuple[Array, object]] = self.__dict__.setdefault("_gradients", {})
        stored = gradients.get(name)
        if stored is not None and pass_id is not None and stored[1] is pass_id:
            bar = stored[0] + bar
        gradients[name] = bar, pass_id

    def _accumulate_gradient(self, cell: Cell, bar: Array, pass_id: object) -> None:
        """Add a gradient under the first name of a parameter; remove those of earlier passes under its other names."""
        first = True
        for _, module in self.modules():
            for name, candidate in module.__dict__.get("_cells", {}).items():
                if candidate is cell and first:
                    module._set_gradient(name, bar, pass_id)
                    first = False
                elif (
                    candidate is cell
                    and module.__dict__.get("_gradients", {}).get(name, (None, pass_id))[1] is not pass_id
                ):
                    del module.__dict__["_gradients"][name]

    # --- switches ---
    def train(self, training: bool = True) -> Self:
        """Switch to training mode (dropout on), in all modules inside too; returns the module.

        - ``training``: ``False`` switches to evaluation mode.
        """
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
        """Return what stands between the parentheses of ``repr``: the names and specs of the module's own cells."""
        return ", ".join(f"{name}: {cell.array.spec}" for name, cell in self.__dict__.get("_cells", {}).items())

    def example(self) -> tuple[Any, ...] | None:
        """Return example inputs, arrays or shapes, for `Module.equations`. A subclass may override this.

        ``None``: `Module.equations` tries shapes that fit the parameters.
        """
        return None


def add_location(module: ModuleState, error: BpropError) -> None:
    """Add ``module`` to the path in an error that propagates through it, and the path it knows the last module by."""
    path = next((path for path, child in module.children() if child is error.source), None)
    if path is not None:
        error.modules[0] = f"{path}:{type(error.source).__name__}"
    error.inside(module._label, module)


__all__ = ["ModuleState", "add_location"]
