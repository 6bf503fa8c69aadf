"""`Module`: ``y = module.fprop(x)`` and ``x_bar = module.bprop(y_bar)``, as in Torch and the lecture.

Called as ``module(x)`` a module is a pure function. ``module.fprop(x)`` outside any transform also keeps a `Frame` (x, y
and intermediates) for ``module.bprop(y_bar)``, which returns x_bar and leaves the parameter gradients in the module.
A subclass writes ``fprop``; the backward pass is derived. It may write ``bprop`` too, reading ``self.x``, ``self.y`` and
leaving ``self.W_bar``: then that rule is used wherever the module appears, under every transform.

**Source:** Leibe (2016), Backpropagation, modular implementation; Collobert, Kavukcuoglu & Farabet (2011), Torch7.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.error import ArgumentError, BpropError, DTypeError, ShapeError, StateError
from ..core.interpreter import EVALUATE, Cell, Scope, current, using
from ..core.tree import is_holder
from ..core.value import Array, Wrapped, asarray
from ..gradients.reverse import Record, lift_cells, pull
from ..ops import full, zeros
from ..region.custom import custom_op
from .frame import ACTIVE, PURE, SWEEP, Frame, active

_FRAME_NAMES = frozenset(("x", "y", "inputs", "y_bar", "x_bar"))


class Module:
    """Base class of everything with parameters. Write ``__init__`` and ``fprop``; ``bprop`` by hand is welcome.

    Attributes that are `parameter`, `state`, modules, or lists and dicts of modules are found by path. See the
    module docstring for frames. ``training`` is true until `eval` is called.

    >>> import bprop
    >>> from bprop import nn
    >>> class Square(nn.Module):
    ...     def fprop(self, x):
    ...         return x * x
    >>> module = Square()
    >>> module.fprop(bprop.asarray([1.0, 2.0]))
    Array([1., 4.])
    >>> module.bprop(bprop.ones(2))
    Array([2., 4.])
    """

    training: bool = True
    composes: bool = False
    """Whether a handwritten ``bprop`` only calls the children's, so that under transforms theirs are used."""

    _formula: Callable[..., Any] | None = None
    _rule: Callable[..., Any] | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "fprop" in cls.__dict__:
            cls._formula = cls.__dict__["fprop"]
            cls.fprop = _driver(cls._formula, Module._run_fprop, "_formula")  # type: ignore[method-assign]
            if "bprop" not in cls.__dict__:
                cls._rule = None  # a new formula needs a new rule
        if "bprop" in cls.__dict__:
            cls._rule = cls.__dict__["bprop"]
            cls.bprop = _driver(cls._rule, Module._run_bprop, "_rule")  # type: ignore[method-assign]

    # --- attributes ---
    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__.get("_cells", {})
        if isinstance(value, Cell):
            if not value.name:
                value.name = f"{type(self).__name__}.{name}"
            self.__dict__.setdefault("_cells", {})[name] = value
            self.__dict__.pop(name, None)
        elif name in own:
            new = asarray(value)
            old = own[name].read()
            if new.spec != old.spec:
                raise ShapeError(f"{self._label}.{name} is {old.spec} and cannot be set to {new.spec}")
            own[name].write(new)
        elif name.endswith("_bar") and name[:-4] in own:
            self._set_bar(name[:-4], asarray(value))
        elif isinstance(value, Wrapped):
            raise StateError(
                f"{self._label}.{name} = {value.spec} under {value.owner.name}: a value under a transform does not outlive "
                f"it; declare the attribute with nn.state(…) in __init__, return the value, or use self.keep({name}=…)"
            )
        else:
            for path, one in _leaves(name, value):
                if isinstance(one, Cell):
                    raise ArgumentError(
                        f"{self._label}.{path} is a parameter or state inside a {type(value).__name__}, where it would not "
                        f"be found: give it an attribute of its own, or to a module, and put modules there"
                    )
                if isinstance(one, Module):
                    one.__dict__.setdefault("_name", path)
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        cell = self.__dict__.get("_cells", {}).get(name)
        if cell is not None:
            return cell.read()
        if name.endswith("_bar") and name[:-4] in self.__dict__.get("_cells", {}):
            return self._bar(name[:-4])
        frame = self._frame()
        if frame is not None:
            if name in _FRAME_NAMES:
                return getattr(frame, name)
            if name in frame.kept:
                return frame.kept[name]
        hint = " (it is there after fprop)" if name in _FRAME_NAMES else ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")

    def _frame(self) -> Frame | None:
        for module, frame in reversed(ACTIVE.get()):
            if module is self:
                return frame
        last: Frame | None = self.__dict__.get("_last")
        return last

    def keep(self, **values: Any) -> None:
        """Keep intermediates of ``fprop`` for a handwritten ``bprop``, to be read as attributes."""
        for module, frame in reversed(ACTIVE.get()):
            if module is self:
                frame.kept.update(values)
                return

    # --- structure ---
    @property
    def _label(self) -> str:
        name = self.__dict__.get("_name")
        return f"{name}:{type(self).__name__}" if name else type(self).__name__

    def children(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, module or other holder of cells) for attributes and members of lists and dicts, nested too."""
        for name, value in self.__dict__.items():
            if not name.startswith("_"):
                yield from ((path, one) for path, one in _leaves(name, value) if is_holder(one))

    def modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """Yield (path, module) for this module (path ``""``) and all inside, each once."""
        seen: set[int] = set()

        def walk(module: Module, path: str) -> Iterator[tuple[str, Module]]:
            if id(module) in seen:
                return
            seen.add(id(module))
            yield path, module
            for name, child in module.children():
                if isinstance(child, Module):
                    yield from walk(child, f"{path}.{name}" if path else name)

        return walk(self, prefix)

    def cells(self) -> dict[str, Cell]:
        """Return every cell by path: parameters, states, generators. A shared cell appears once."""
        found: dict[str, Cell] = {}
        seen: set[int] = set()
        for path, module in self.modules():
            own = dict(module.__dict__.get("_cells", {}))
            for name, child in module.children():
                if not isinstance(child, Module):
                    own.update({f"{name}.{key}": cell for key, cell in child.cells().items()})
            for name, cell in own.items():
                if id(cell) not in seen:
                    seen.add(id(cell))
                    found[f"{path}.{name}" if path else name] = cell
        return found

    def parameters(self) -> dict[str, Array]:
        """Return the trainable arrays by path; a shared parameter appears once."""
        return {path: cell.read() for path, cell in self.cells().items() if cell.trainable}

    def train(self, training: bool = True) -> "Module":
        """Switch to training mode (dropout on); returns the module."""
        for _, module in self.modules():
            module.training = training
        return self

    def eval(self) -> "Module":
        """Switch to evaluation mode (dropout off); returns the module."""
        return self.train(False)

    def __repr__(self) -> str:
        inner = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.children()]
        head = f"{type(self).__name__}({self.describe()}"
        return head + ("\n" + "\n".join(inner) + "\n)" if inner else ")")

    def describe(self) -> str:
        """Return what stands between the parentheses of ``repr``: the shapes of own parameters."""
        own = self.__dict__.get("_cells", {})
        return ", ".join(f"{name}: {cell.array.spec}" for name, cell in own.items())

    # --- application ---
    def __call__(self, *inputs: Any) -> Any:
        """Apply the module as a pure function: nothing stays in it."""
        try:
            formula = type(self)._formula
            if formula is None:
                raise StateError(f"{type(self).__name__} defines no fprop")
            if current() is EVALUATE:
                token = SWEEP.set(PURE)
                try:
                    return formula(self, *inputs)
                finally:
                    SWEEP.reset(token)
            if type(self)._rule is None or type(self).composes:
                return formula(self, *inputs)
            return self._apply_rule(inputs)
        except BpropError as error:
            error.inside(self._label)
            raise

    # For type checkers, so that a subclass may name its own inputs: every signature may override this one.
    if TYPE_CHECKING:

        def fprop(self, *args: Any, **kwargs: Any) -> Any: ...
        def bprop(self, *args: Any, **kwargs: Any) -> Any: ...

    else:

        def fprop(self, *inputs: Any) -> Any:
            """Return y and, outside transforms, keep x, y and intermediates for `bprop`. Subclasses write the formula here."""
            raise StateError(f"{type(self).__name__} defines no fprop")

        def bprop(self, y_bar: Any = None) -> Any:
            """Return x_bar = dE/dx for y_bar = dE/dy (1 for a scalar y); parameter gradients stay in the module.

            Raises `StateError` without an `fprop` before it, `ShapeError` where y_bar has another shape than y.
            """
            return self._run_bprop(y_bar)

    # --- frames: fprop and bprop outside transforms ---
    def _run_fprop(self, *inputs: Any) -> Any:
        sweep = SWEEP.get()
        if current() is not EVALUATE or sweep is PURE:
            return self(*inputs)
        token = None
        if sweep is None:
            sweep = object()
            token = SWEEP.set(sweep)
        frame = Frame(inputs, sweep)
        try:
            formula = type(self)._formula
            assert formula is not None
            if type(self)._rule is not None:
                with active(self, frame):
                    frame.y = formula(self, *inputs)
            else:
                self._record(frame, formula)
        except BpropError as error:
            error.inside(self._label)
            raise
        finally:
            if token is not None:
                SWEEP.reset(token)
        frames: list[Frame] = self.__dict__.setdefault("_frames", [])
        if frames and frames[-1].sweep is not sweep:
            frames.clear()  # frames of an earlier fprop that no bprop answered
        frames.append(frame)
        self.__dict__["_last"] = frame
        return frame.y

    def _record(self, frame: Frame, formula: Callable[..., Any]) -> None:
        """Run a formula without a handwritten rule and keep its derived pullback."""
        owner = Record(name=f"{type(self).__name__}.fprop")
        cells = [cell for cell in self.cells().values() if cell.trainable]
        parameters = lift_cells(owner, cells)
        floats = [_is_float(x) for x in frame.inputs]
        lifted = [owner.input(asarray(x)) if f else x for x, f in zip(frame.inputs, floats, strict=True)]
        variables = [x for x, f in zip(lifted, floats, strict=True) if f]
        with using(owner), active(self, frame):
            y = formula(self, *lifted)
        if not isinstance(y, Array):
            raise ArgumentError(f"{type(self).__name__}.fprop returned {type(y).__name__}, not an array")
        owner.close()
        frame.kept = {name: owner.lower(value) for name, value in frame.kept.items()}
        frame.y = owner.lower(y)

        def pullback(y_bar: Any) -> Any:
            bars = pull([y], [y_bar], [*variables, *parameters], owner)
            for cell, x, bar in zip(cells, parameters, bars[len(variables) :], strict=True):
                self._deposit(cell, zeros(x.shape, dtype=x.dtype) if bar is None else bar, frame.sweep)
            found = iter(bars[: len(variables)])
            x_bars = []
            for x, f in zip(lifted, floats, strict=True):
                bar = next(found) if f else None
                x_bars.append(zeros(x.shape, dtype=x.dtype) if f and bar is None else bar)
            return x_bars[0] if len(x_bars) == 1 else tuple(x_bars)

        frame.pullback = pullback

    def _run_bprop(self, y_bar: Any = None) -> Any:
        frames: list[Frame] = self.__dict__.get("_frames", [])
        if current() is not EVALUATE:
            raise StateError(
                f"{self._label}.bprop inside {current().name}: under a transform fprop keeps nothing; let the transform "
                f"differentiate, or call fprop and bprop outside of it{_composing()}"
            )
        if not frames:
            raise StateError(f"{self._label}.bprop: no fprop came before it (each fprop answers one bprop)")
        frame = frames[-1]
        try:
            frame.y_bar = self._seed(frame, y_bar)
            if frame.pullback is not None:
                frame.x_bar = frame.pullback(frame.y_bar)
            else:
                rule = type(self)._rule
                assert rule is not None
                with active(self, frame):
                    frame.x_bar = rule(self, frame.y_bar)
                self._check_answer(frame.inputs, frame.x_bar, frame.bars)
                for name, bar in frame.bars.items():
                    self._store(name, bar, frame.sweep)
        except BpropError as error:
            error.inside(self._label)
            raise
        frames.pop()
        frame.x_bar = self._answer(frame.x_bar)
        return frame.x_bar

    def _answer(self, x_bar: Any) -> Any:
        """Return what `bprop` hands to the layer below (a loss: no cotangent of its targets)."""
        return x_bar

    def _seed(self, frame: Frame, y_bar: Any) -> Array:
        y = frame.y
        if y_bar is None:
            if y.shape != ():
                raise ShapeError(
                    f"{self._label}.bprop needs y_bar: y has shape {y.shape}, only a scalar has the default 1"
                )
            return full((), 1, dtype=y.dtype)
        bar = asarray(y_bar)
        if bar.shape != y.shape:
            raise ShapeError(f"{self._label}.bprop: y_bar has shape {bar.shape}, y has shape {y.shape}")
        return bar if bar.dtype == y.dtype else bar.astype(y.dtype)

    # --- the handwritten rule under transforms ---
    def _apply_rule(self, inputs: tuple[Any, ...]) -> Any:
        formula, rule = type(self)._formula, type(self)._rule
        assert formula is not None
        assert rule is not None
        own: dict[str, Cell] = {n: c for n, c in self.__dict__.get("_cells", {}).items() if c.trainable}
        states = []
        for path, cell in self.cells().items():
            if not cell.trainable:
                states.append(cell)
            elif cell not in own.values():
                raise ArgumentError(
                    f"{self._label} has a handwritten bprop, which under a transform cannot leave a gradient for {path}, "
                    f"a parameter of a module inside: write composes = True in the class if that bprop only calls theirs, "
                    f"or leave bprop out, and it is derived"
                )
        # None, names and flags are no arrays: they go around the region, everything else through it.
        places = [i for i, x in enumerate(inputs) if x is not None and not isinstance(x, bool | str)]
        xs = [asarray(inputs[i]) for i in places]
        count, cells = len(xs), [*own.values(), *states]
        kept: list[str] = []
        written: list[Cell] = []

        def restored(xs: Sequence[Any]) -> tuple[Any, ...]:
            given = list(inputs)
            for place, x in zip(places, xs, strict=True):
                given[place] = x
            return tuple(given)

        def f(*flat: Any) -> list[Any]:
            frame = Frame(restored(flat[:count]))
            scope = Scope(dict(zip(cells, flat[count:], strict=True)))
            with using(scope), active(self, frame):
                y = asarray(formula(self, *frame.inputs))
            kept[:], written[:] = list(frame.kept), list(scope.written)
            return [y, *frame.kept.values(), *(scope.cells[cell] for cell in written)]

        def vjp(y_bars: Sequence[Any], ys: Sequence[Any], flat: Sequence[Any]) -> list[Any]:
            frame = Frame(restored(flat[:count]))
            first, *rest = ys
            frame.y, frame.kept = first, dict(zip(kept, rest[: len(kept)], strict=True))
            seen = dict(zip(cells, flat[count:], strict=True))
            seen.update(zip(written, rest[len(kept) :], strict=True))  # as outside of transforms: after fprop
            with using(Scope(seen)), active(self, frame):
                x_bar = rule(self, y_bars[0])
            self._check_answer(frame.inputs, x_bar, frame.bars)
            x_bars = list(x_bar) if isinstance(x_bar, tuple) else [x_bar]
            x_bars += [None] * (len(inputs) - len(x_bars))
            return [*(x_bars[i] for i in places), *(frame.bars[name] for name in own), *(None for _ in states)]

        params = {"name": self._label, "f": f, "vjp": vjp, "jvp": None}
        outputs = current().bind(custom_op, (*xs, *(cell.read() for cell in cells)), params)
        for cell, value in zip(written, outputs[1 + len(kept) :], strict=True):
            cell.write(value)
        return outputs[0]

    def _check_answer(self, inputs: Sequence[Any], x_bar: Any, bars: dict[str, Any]) -> None:
        """Refuse what a handwritten rule forgot: what is missing here would silently be no gradient at all."""
        x_bars = x_bar if isinstance(x_bar, tuple) else (x_bar,)
        if all(bar is None for bar in x_bars) and any(_is_float(x) for x in inputs):
            raise ArgumentError(f"{self._label}.bprop returned None: it returns x_bar, the derivative dE/dx")
        for bar, x in zip(x_bars, inputs, strict=False):
            if bar is not None and _is_float(x) and np.shape(bar) != np.shape(x):
                raise ShapeError(
                    f"{self._label}.bprop returned x_bar of shape {np.shape(bar)}, x has shape {np.shape(x)}"
                )
        for name, cell in self.__dict__.get("_cells", {}).items():
            if cell.trainable and name not in bars:
                raise ArgumentError(f"{self._label}.bprop left no {name}_bar, the derivative dE/d{name}")

    # --- parameter gradients ---
    def _set_bar(self, name: str, bar: Array) -> None:
        expected = self.__dict__["_cells"][name].read().shape
        if bar.shape != expected:
            raise ShapeError(f"{self._label}.{name}_bar has shape {bar.shape}, {name} has shape {expected}")
        for module, frame in reversed(ACTIVE.get()):
            if module is self:
                frame.bars[name] = bar  # as with any attribute the last write counts, so that += adds once
                return
        self._store(name, bar, None)

    def _store(self, name: str, bar: Array, sweep: object) -> None:
        """Set a gradient, or add to it if the module was applied several times in the same sweep."""
        bars: dict[str, tuple[Array, object]] = self.__dict__.setdefault("_bars", {})
        known = bars.get(name)
        same = known is not None and sweep is not None and known[1] is sweep
        bars[name] = (known[0] + bar if same and known is not None else bar, sweep)

    def _deposit(self, cell: Cell, bar: Array, sweep: object) -> None:
        for _, module in self.modules():
            for name, own in module.__dict__.get("_cells", {}).items():
                if own is cell:
                    module._store(name, bar, sweep)
                    return

    def _bar(self, name: str) -> Array:
        frame = next((frame for module, frame in reversed(ACTIVE.get()) if module is self), None)
        if frame is not None and name in frame.bars:
            found: Array = frame.bars[name]
            return found
        known: tuple[Array, object] | None = self.__dict__.get("_bars", {}).get(name)
        if known is None:
            raise StateError(f"{self._label}.{name}_bar: no bprop has left a gradient yet")
        return known[0]

    def gradients(self) -> dict[str, Array]:
        """Return the parameter gradients that the last `bprop` left, by path; a shared parameter's are summed.

        Raises `StateError` before the first `bprop`.
        """
        sums: dict[int, Array] = {}
        for _, module in self.modules():
            for name, cell in module.__dict__.get("_cells", {}).items():
                if cell.trainable:
                    bar = module._bar(name)
                    sums[id(cell)] = sums[id(cell)] + bar if id(cell) in sums else bar
        return {path: sums[id(cell)] for path, cell in self.cells().items() if cell.trainable}

    def check_dtype(self, x: Any, name: str) -> Array:
        """Return ``x`` as an array, refusing a floating dtype other than that of parameter ``name``."""
        x = asarray(x)
        expected = self.__dict__["_cells"][name].read().dtype
        if x.dtype.kind == "f" and x.dtype != expected:
            raise DTypeError(
                f"{type(self).__name__}: x is {x.dtype} but {name} is {expected}: write x.astype({str(expected)!r}), or make "
                f"the layer with dtype={str(x.dtype)!r}"
            )
        return x


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, object) for what an attribute holds, through lists, tuples and dicts."""
    if isinstance(value, list | tuple | dict):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(f"{name}.{key}", one)
    else:
        yield name, value


def _composing() -> str:
    outer = [type(module).__name__ for module, _ in ACTIVE.get()[-1:]]
    return (
        f" (if {outer[0]}.bprop only calls those of the modules inside, write composes = True in it)" if outer else ""
    )


def _driver(written: Callable[..., Any], run: Callable[..., Any], kind: str) -> Callable[..., Any]:
    """Wrap what a subclass wrote: called from within itself (``super().fprop(x)``) it is the plain formula."""

    def method(self: Module, *inputs: Any) -> Any:
        # The formula of a base class is only ever meant by super(); a rule may also be inherited for another formula.
        inner = kind == "_formula" and written is not type(self)._formula
        if inner or any(module is self for module, _ in ACTIVE.get()[-1:]):
            return written(self, *inputs)
        return run(self, *inputs)

    method.__name__ = written.__name__
    method.__qualname__ = written.__qualname__
    method.__doc__ = written.__doc__ or getattr(Module, written.__name__).__doc__
    return method


def _is_float(x: Any) -> bool:
    if isinstance(x, list | tuple):
        x = asarray(x)
    return np.dtype(getattr(x, "dtype", type(x) if isinstance(x, float) else object)).kind == "f"


__all__ = ["Cell", "Module"]
