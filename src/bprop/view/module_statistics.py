"""What goes through the modules of a network, both ways: activations, cotangents, gradients, by module."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.cell import Cell
from ..core.error import ArgumentError, BpropError
from ..core.interpreter import StateScope, using
from ..core.tree import flatten
from ..core.value import Array, Spec, asarray
from ..gradients.reverse import Recording
from ..gradients.variable import as_scalar, name_of
from ..nn import Module
from ..nn.count import flops
from ..ops import ones
from ..ops import sum as sum_of

SATURATED = 0.01
"""An entry is saturated where the local derivative of a nonlinearity is below this."""

Numbers = NDArray[Any]


class Distribution(NamedTuple):
    """The numbers of an array in short: how many, their mean and standard deviation, least and largest, how many are no number."""

    size: int
    mean: float
    std: float
    low: float
    high: float
    not_finite: int

    @classmethod
    def of(cls, arrays: Sequence[Numbers]) -> "Distribution":
        """Return the distribution of the entries of all arrays together; of none it is NaN."""
        flat = np.concatenate([np.ravel(array).astype(np.float64) for array in arrays]) if arrays else np.empty(0)
        finite = flat[np.isfinite(flat)]
        if finite.size == 0:
            return cls(flat.size, np.nan, np.nan, np.nan, np.nan, flat.size)
        mean, std, low, high = (float(f(finite)) for f in (np.mean, np.std, np.min, np.max))
        return cls(flat.size, mean, std, low, high, int(flat.size - finite.size))


class ParameterStatistics(NamedTuple):
    """One parameter: its name in the module, shape and dtype, norm and norm of its gradient (``None``: E does not depend on it)."""

    name: str
    spec: Spec
    norm: float
    gradient_norm: float | None


class ModuleStatistics:
    """One module and those inside: ``path``, ``kind`` (its class), ``text`` (its repr), ``children``, and numbers.

    ``output``: shape and dtype of y (of several the first). ``y``, ``y_bar``: their `Distribution`; ``y_bar`` is ``None`` where no
    cotangent arrives. ``y_bar_norm``: its root mean square per entry times √entries, ‖∂E/∂y‖. ``saturated``: the share of entries
    where the local derivative of a nonlinearity is below 1/100. ``dead``: how many of ``units`` are so for all examples.
    ``kept``: bytes of the input and of what fprop saves for bprop. ``flops``: two for each multiply-add. ``parameters``: its own.
    """

    def __init__(self, path: str, module: Module) -> None:
        self.path = path
        self.kind = type(module).__name__
        self.text = repr(module).splitlines()[0]
        self.children: list[ModuleStatistics] = []
        self.output: Spec | None = None
        self.y = Distribution.of([])
        self.y_bar: Distribution | None = None
        self.y_bar_norm: float | None = None
        self.saturated: float | None = None
        self.dead: int | None = None
        self.units: int | None = None
        self.kept = 0
        self.flops = 0
        self.parameters: list[ParameterStatistics] = []

    def walk(self) -> Iterator["ModuleStatistics"]:
        """Yield this module and all inside, each before those inside of it."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def parameter_count(self) -> int:
        """How many trained numbers there are, those inside included."""
        return sum(int(np.prod(p.spec.shape)) for module in self.walk() for p in module.parameters)

    @property
    def gradient_norm(self) -> float | None:
        """The norm of the gradients of all parameters, those inside included; ``None`` where E depends on none."""
        norms = [p.gradient_norm for module in self.walk() for p in module.parameters if p.gradient_norm is not None]
        return float(np.linalg.norm(norms)) if norms else None

    @property
    def unreached(self) -> list[str]:
        """The paths of parameters that E does not depend on."""
        return [
            f"{module.path}.{p.name}".lstrip(".")
            for module in self.walk()
            for p in module.parameters
            if p.gradient_norm is None
        ]

    @property
    def shape_key(self) -> Any:
        """What two blocks have in common that are the same but for their numbers."""
        return (self.kind, self.text, self.output, tuple(child.shape_key for child in self.children))


class _Seen:
    """What hooks on one module saw: its inputs and values, the first time it was applied all of them."""

    def __init__(self) -> None:
        self.inputs: tuple[Any, ...] = ()
        self.y: list[Numbers] = []
        self.y_bar: list[Numbers] = []
        self.x_bar: list[Numbers] = []


def statistics(f: Callable[..., Any], *args: Any) -> list[ModuleStatistics]:
    """Return the statistics of the modules among ``args`` (of ``f``, where it is one) as E = f(*args) and its gradient are computed.

    ``f``: a function with a scalar value, or a module whose value is summed to have one. Every module is one tree.
    """
    function, arguments = (f, args) if not isinstance(f, Module) else (_summed, (f, *args))
    roots = [(number, arg) for number, arg in enumerate(arguments) if isinstance(arg, Module)]
    if not roots:
        raise ArgumentError(f"view of {name_of(f)}: there is no module among its arguments to show")
    seen: dict[int, _Seen] = {}
    hooks = [_watched(module, seen) for _, root in roots for _, module in root.modules()]
    numbers = tuple(number for number, _ in roots)
    what = f"view of {name_of(f)}"
    try:
        with using(StateScope()):  # running statistics and counters of generators stay as they are
            run = Recording(function, arguments, {}, numbers, what)
            y = as_scalar(run.result, what)
            bars = run.backward([y], [ones((), dtype=y.dtype)])
            run.owner.close()
    finally:
        for hook in hooks:
            hook.remove()
    trees = []
    for (_, root), variables, row in zip(roots, run.variables, bars, strict=True):
        gradients = dict(zip(variables.slots[0] or (), row, strict=True))
        trees.append(_tree("", root, gradients, seen))
    return trees


def _summed(module: Module, *args: Any) -> Any:
    return sum_of(module(*args))


def _watched(module: Module, seen: dict[int, _Seen]) -> Any:
    record = seen[id(module)] = _Seen()

    def on_x(_: Any, x: Any) -> None:
        if not record.y:
            record.inputs = x if isinstance(x, tuple) else (x,)

    def on_bar(_: Any, bar: Any, kept: str) -> None:
        getattr(record, kept).extend(_numbers(bar))

    return module.hook(
        x=on_x,
        y=lambda _, y: record.y.extend(_numbers(y)),
        y_bar=lambda module, bar: on_bar(module, bar, "y_bar"),
        x_bar=lambda module, bar: on_bar(module, bar, "x_bar"),
    )


def _numbers(value: Any) -> list[Numbers]:
    """Return the floating-point arrays in a value as NumPy arrays."""
    arrays = [x.concrete() for x in flatten(value)[0] if isinstance(x, Array)]
    return [x for x in arrays if x is not None and x.dtype.kind == "f"]


def _tree(path: str, module: Module, gradients: dict[str, Any], seen: dict[int, _Seen]) -> ModuleStatistics:
    node, record = ModuleStatistics(path, module), seen[id(module)]
    node.children = [
        _tree(f"{path}.{name}" if path else name, child, gradients, seen)
        for name, child in module.children()
        if isinstance(child, Module)
    ]
    for name, cell in module.__dict__.get("_cells", {}).items():
        if cell.trainable:
            node.parameters.append(_parameter(name, cell, gradients.get(f"{path}.{name}" if path else name)))
    node.y = Distribution.of(record.y)
    node.output = Spec(record.y[0].shape, record.y[0].dtype) if record.y else None
    if record.y_bar:
        node.y_bar = Distribution.of(record.y_bar)
        node.y_bar_norm = float(np.sqrt(sum(float(np.sum(np.square(bar, dtype=np.float64))) for bar in record.y_bar)))
    if not node.children and not node.parameters:
        _add_saturation(node, record)
    if not node.children:
        _add_cost(node, module, record)
    else:
        node.kept, node.flops = (sum(getattr(child, cost) for child in node.children) for cost in ("kept", "flops"))
    return node


def _parameter(name: str, cell: Cell, bar: Any) -> ParameterStatistics:
    def norm(array: Any) -> float:
        return float(np.linalg.norm(np.ravel(array.numpy()).astype(np.float64)))

    return ParameterStatistics(name, cell.array.spec, norm(cell.array), None if bar is None else norm(bar))


def _add_saturation(node: ModuleStatistics, record: _Seen) -> None:
    """Count where a nonlinearity lets little of the cotangent through: only of a module whose x and y have one shape."""
    if not record.y_bar or not record.x_bar or record.y_bar[0].shape != record.x_bar[0].shape or node.kind in _LINEAR:
        return
    y_bar, x_bar = (np.abs(bars[0]).astype(np.float64) for bars in (record.y_bar, record.x_bar))
    arrived = y_bar > 0
    if not arrived.any():
        return
    blocked = arrived & (x_bar < SATURATED * y_bar)
    node.saturated = float(blocked.sum() / arrived.sum())
    rows = np.moveaxis(blocked | ~arrived, 1 if blocked.ndim == 4 else -1, 0).reshape(
        blocked.shape[1 if blocked.ndim == 4 else -1], -1
    )
    node.units, node.dead = len(rows), int(rows.all(axis=1).sum())


_LINEAR = ("Identity", "Dropout", "Dropout1d", "Dropout2d")
"""Modules that are no nonlinearities, though x and y have one shape."""


_FRAMES = ("_frames", "_last_frame")
"""What a module remembers of its applications."""


def _add_cost(node: ModuleStatistics, module: Module, record: _Seen) -> None:
    """Apply the module alone to what it was applied to: what its fprop keeps, and its FLOPs."""
    if not record.inputs:
        return
    inputs = [_lowered(x) for x in record.inputs]
    states = {cell: cell.read() for cell in module.cells().values()}
    before = {name: module.__dict__[name] for name in _FRAMES if name in module.__dict__}
    try:
        module.fprop(*inputs)
        frame = module.__dict__["_last_frame"]
        node.flops = flops(module, *inputs)
    except (BpropError, TypeError, ValueError):  # its inputs are not all arrays
        return
    finally:
        for cell, value in states.items():
            cell.write(value)
        for name in _FRAMES:
            module.__dict__.pop(name, None)
        module.__dict__.update(before)
    arrays = {id(x): x for x in flatten((frame.inputs, list(frame.saved.values())))[0] if isinstance(x, Array)}
    node.kept = sum(x.nbytes for x in arrays.values())


def _lowered(x: Any) -> Any:
    data = x.concrete() if isinstance(x, Array) else None
    return x if data is None else asarray(data)


__all__ = ["Distribution", "ModuleStatistics", "ParameterStatistics", "statistics"]
