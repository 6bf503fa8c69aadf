"""Containers: modules in sequence, in parallel, and with a residual connection. Their ``bprop`` calls the children's."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self, overload

from ..core.error import ArgumentError, IndexingError, ShapeError
from ..core.shape import normalise_axis
from ..core.value import Array, asarray
from ..ops import concat
from .module import Module


class _Container(Module):
    """A module that holds ``layers``, by number or by name."""

    layers: list[Module] | dict[str, Module]
    composes = True
    pytorch_names: ClassVar = {"layers": ""}

    def __init__(self, *layers: Module | Mapping[str, Module], **named: Module) -> None:
        kind = type(self).__name__
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            named, layers = {**layers[0], **named}, ()
        if len(layers) == 1 and isinstance(layers[0], list | tuple):
            raise ArgumentError(f"{kind}: give the modules one by one, {kind}(*layers)")
        if layers and named:
            raise ArgumentError(f"{kind}: give all modules names or none")
        numbered: list[Module] = [self._checked(str(i), layer) for i, layer in enumerate(layers)]
        by_name = {name: self._checked(repr(name), layer) for name, layer in named.items()}
        for name in by_name:
            if not isinstance(name, str) or not name or "." in name:
                raise ArgumentError(
                    f"{kind}: a name is a string without a point, which joins the names of a path: {name!r}"
                )
        self.layers = by_name or numbered

    def _checked(self, position: str, layer: Any) -> Module:
        """Return ``layer``, refusing what is no module."""
        if not isinstance(layer, Module):
            hint = ", make one: write its name followed by ()" if isinstance(layer, type) else ""
            raise ArgumentError(f"{type(self).__name__}: layer {position} is {layer!r:.60}, not a module{hint}")
        return layer

    def _layer_list(self) -> list[Module]:
        return list(self.layers.values()) if isinstance(self.layers, dict) else self.layers

    def append(self, layer: Module, name: str | None = None) -> Self:
        """Add a module at the end; returns the container.

        - ``layer``: the module.
        - ``name``: its name; a container whose modules have names needs one, any other takes none.
        """
        self._checked(str(len(self)), layer)
        if isinstance(self.layers, dict):
            if not isinstance(name, str) or not name or "." in name or name in self.layers:
                raise ArgumentError(f"{type(self).__name__}.append: the modules have names; {name!r} is no new one")
            self.layers = {**self.layers, name: layer}
        elif name is not None:
            raise ArgumentError(
                f"{type(self).__name__}.append: the modules have numbers, so {name!r} cannot have a name"
            )
        else:
            self.layers = [*self.layers, layer]
        return self

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layer_list())

    @overload
    def __getitem__(self, index: int | str) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | str | slice) -> Module:
        if isinstance(index, slice):
            if isinstance(self.layers, dict):
                return self._with_layers(dict(list(self.layers.items())[index]))
            return self._with_layers(*self.layers[index])
        return self._layer_list()[self._position(index)]

    def _with_layers(self, *layers: Any) -> Self:
        """Return a container with the same settings for other layers."""
        return type(self)(*layers)

    def __setitem__(self, index: int | str, layer: Module) -> None:
        position = self._position(index)
        self._checked(str(position), layer)
        new = [*self._layer_list()[:position], layer, *self._layer_list()[position + 1 :]]
        self.layers = dict(zip(self.layers, new, strict=True)) if isinstance(self.layers, dict) else new

    def _position(self, index: int | str) -> int:
        """Return the position of a layer, from 0, for a number or a name."""
        kind, names = type(self).__name__, list(self.layers) if isinstance(self.layers, dict) else []
        if isinstance(index, str):
            if index not in names:
                raise IndexingError(
                    f"{kind}: no module is named {index!r}; there are {names or f'{len(self)} without names'}"
                )
            return names.index(index)
        if isinstance(index, bool) or not hasattr(index, "__index__"):
            raise IndexingError(f"{kind}: {index!r:.60} is no place: a number, a name or a slice is")
        position = index.__index__()
        if not -len(self) <= position < len(self):
            raise IndexingError(f"{kind}: place {position} with {len(self)} modules: places are 0 … {len(self) - 1}")
        return position % len(self)

    def describe(self) -> str:
        count = sum(cell.array.size for cell in self.cells().values() if cell.trainable)
        return f"{len(self.layers)} layers, {count:,} parameters" if self.layers else ""


class Sequential(_Container):
    """y = layer_n(… layer_2(layer_1(x))). Indexable, iterable; a slice is a Sequential of the same modules.

    A module may occur several times: its parameters are then shared and their gradients summed; `tie` shares a single
    parameter. With names, ``Sequential(hidden=…, output=…)`` or a dict, paths have names in place of numbers, and so
    may an index. `append` adds a module, ``model[0] = …`` replaces one. Raises `ArgumentError` for anything that is not
    a module.

    - ``layers``: modules, or one dict of modules by name.
    - ``named``: modules by name, in place of ``layers``.

    **Source:** Leibe (2016), Backpropagation, modular implementation; Collobert, Kavukcuoglu & Farabet (2011), Torch7.

    >>> from bprop import nn
    >>> nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
    Sequential(3 layers, 2,410 parameters
      (layers.0): Linear(64 → 32, float32)
      (layers.1): Tanh()
      (layers.2): Linear(32 → 10, float32)
    )
    """

    def fprop(self, x: Any) -> Array:
        """Return y, the layers applied from the first to the last."""
        y = asarray(x)
        for layer in self._layer_list():
            y = layer.fprop(y)
        return y

    def bprop(self, y_bar: Any) -> Any:
        """Return x_bar: the error derivatives pass from the last layer to the first."""
        for layer in reversed(self._layer_list()):
            y_bar = layer.bprop(y_bar)
        return y_bar


class Parallel(_Container):
    """y = the results of all branches for the same x, concatenated along ``axis``, or with ``join="add"`` their sum.

    In the backward pass every branch gets its slice of ∂E/∂y, or with ``join="add"`` all of it, and ∂E/∂x is the sum of
    what they return. Raises `ArgumentError` for no branch or another ``join``, `ShapeError` where the results do not fit
    together.

    - ``layers``, ``named``: the branches, modules with numbers or names as in `Sequential`. They take the same x.
    - ``join``: "concat" to concatenate the results, or "add" for their sum, which needs equal shapes.
    - ``axis``: the axis of "concat", along which the shapes of the results may differ.

    **Source:** Szegedy et al. (2015), Going deeper with convolutions; Collobert, Kavukcuoglu & Farabet (2011), Torch7,
    ``Concat``.

    >>> import bprop
    >>> from bprop import nn
    >>> module = nn.Parallel(nn.Identity(), nn.Tanh())
    >>> module.fprop(bprop.zeros((1, 2))), module.bprop(bprop.asarray([[1.0, 2.0, 3.0, 4.0]]))
    (Array([[0., 0., 0., 0.]]), Array([[4., 6.]]))
    """

    def __init__(
        self,
        *layers: Module | Mapping[str, Module],
        axis: int = -1,
        join: Literal["concat", "add"] = "concat",
        **named: Module,
    ) -> None:
        super().__init__(*layers, **named)
        if not self.layers:
            raise ArgumentError("Parallel: give at least one branch")
        if join not in ("concat", "add"):
            raise ArgumentError(f"Parallel: join is 'concat' or 'add', not {join!r}")
        self.axis, self.join = axis, join

    def _with_layers(self, *layers: Any) -> Self:
        return type(self)(*layers, axis=self.axis, join=self.join)

    def fprop(self, x: Any) -> Array:
        """Return the results of the branches, joined."""
        ys = [branch.fprop(x) for branch in self._layer_list()]
        shapes = [y.shape for y in ys]
        if self.join == "add":
            if len(set(shapes)) > 1:
                raise ShapeError(
                    f"Parallel: the branches gave shapes {shapes}, which are not added: they must be equal"
                )
            y = ys[0]
            for other in ys[1:]:
                y = y + other
            return y
        axis = normalise_axis("Parallel", self.axis, ys[0].ndim, shapes[0])
        if any(
            len(s) != len(shapes[0]) or (*s[:axis], *s[axis + 1 :]) != (*shapes[0][:axis], *shapes[0][axis + 1 :])
            for s in shapes
        ):
            raise ShapeError(f"Parallel: the branches gave shapes {shapes}, which may differ along axis {axis} only")
        self.keep(sizes=[s[axis] for s in shapes], concat_axis=axis)
        return concat(ys, axis=axis)

    def bprop(self, y_bar: Any) -> Any:
        """Return x_bar: the sum of those of the branches."""
        x_bar: Any = None
        end = 0 if self.join == "add" else y_bar.shape[self.concat_axis]
        for number, branch in reversed(list(enumerate(self._layer_list()))):
            branch_y_bar = y_bar
            if self.join == "concat":
                start = end - self.sizes[number]
                branch_y_bar = y_bar[(*(slice(None),) * self.concat_axis, slice(start, end))]
                end = start
            branch_x_bar = branch.bprop(branch_y_bar)
            x_bar = branch_x_bar if x_bar is None else x_bar + branch_x_bar
        return x_bar

    def describe(self) -> str:
        """Return how the results are joined, and the number of parameters."""
        return f"{f'axis={self.axis}' if self.join == 'concat' else 'add'}, {super().describe()}"


class Residual(Module):
    """y = x + module(x): the module learns what to add to x. Where shapes differ, ``shortcut`` is applied to x before.

    ∂E/∂x = ∂E/∂y + the module's x_bar: error derivatives reach the layers below undiminished. Raises
    `ShapeError` where the two have different shapes.

    - ``module``: a module whose y has the shape of x, or of what the shortcut returns.
    - ``shortcut``: a module to apply to x, whose y is added in place of x; ``None`` for x itself.
    - ``activation``: a module to apply to the sum, such as `ReLU`; ``None`` for the sum itself.

    **Source:** He, Zhang, Ren & Sun (2016), Deep residual learning for image recognition, eq. 1 and 2.

    >>> import bprop
    >>> from bprop import nn
    >>> block = nn.Residual(nn.Tanh())
    >>> block.fprop(bprop.zeros(2)), block.bprop(bprop.ones(2))
    (Array([0., 0.]), Array([2., 2.]))
    """

    composes = True
    pytorch_names: ClassVar = {"module": "", "shortcut": "downsample"}

    def __init__(self, module: Module, shortcut: Module | None = None, activation: Module | None = None) -> None:
        for name, layer in (("module", module), ("shortcut", shortcut), ("activation", activation)):
            if not isinstance(layer, Module) and not (name != "module" and layer is None):
                raise ArgumentError(f"Residual: {name} is a module, not {layer!r:.60}")
        self.module = module
        self.shortcut = shortcut
        self.activation = activation

    def fprop(self, x: Any) -> Array:
        """Return x + module(x), after the activation if there is one."""
        x = asarray(x)
        straight = x if self.shortcut is None else self.shortcut.fprop(x)
        y = self.module.fprop(x)
        if y.shape != straight.shape:
            raise ShapeError(
                f"Residual: the module gave shape {y.shape} and is added to shape {straight.shape}: give a shortcut, a "
                f"module such as Linear, that makes the same shape of x"
            )
        total: Array = straight + y
        return total if self.activation is None else self.activation.fprop(total)

    def bprop(self, y_bar: Any) -> Any:
        if self.activation is not None:
            y_bar = self.activation.bprop(y_bar)
        x_bar = self.module.bprop(y_bar)
        return (y_bar if self.shortcut is None else self.shortcut.bprop(y_bar)) + x_bar


__all__ = ["Parallel", "Residual", "Sequential"]
