"""`Module`: ``y = module.fprop(x)`` and ``x_bar = module.bprop(y_bar)``, as in Torch and the lecture.

Called as ``module(x)`` a module is a pure function. ``module.fprop(x)`` outside any transform also keeps a `Frame` (x, y
and intermediates) for ``module.bprop(y_bar)``, which returns x_bar and leaves the parameter gradients in the module.
A subclass writes ``fprop``; the backward pass is derived. It may write ``bprop`` too, reading ``self.x``, ``self.y`` and
leaving ``self.W_bar``: then that rule is used wherever the module appears, under every transform.

**Source:** Leibe (2016), Backpropagation, modular implementation; Collobert, Kavukcuoglu & Farabet (2011), Torch7.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.cell import PARAMETERS, Cell
from ..core.error import ArgumentError, BpropError, DTypeError, ShapeError, StateError
from ..core.interpreter import EVALUATE, current, using
from ..core.value import Array, Tracer, asarray
from ..gradients.reverse import Record, backward, lift_cells
from ..ops import full, zeros
from .derivation import equations
from .equation import Equations
from .frame import ACTIVE, PURE, SWEEP, Frame, active, owned, source_of, unchanging
from .gradient import Gradients
from .hook import Hook, checked, hooked, on_inputs, on_x_bar, through, watched
from .path import leaves
from .rule import apply_rule, check_answer, is_float

_FRAME_NAMES = frozenset(("x", "y", "inputs", "y_bar", "x_bar"))


class Module(Gradients):
    """Base class of everything with parameters. Write ``__init__`` and ``fprop``; ``bprop`` by hand is welcome.

    Attributes that are `parameter`, `state`, modules, or lists and dicts of modules are found by path; other arrays are
    refused, NumPy's are constants. A module that is given to two others is one, and `tie` makes one parameter of two. See
    the module docstring for frames. ``training`` is true until `eval` is called.

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

    result = "y"
    """What fprop computes is called in the equations: y, of a loss E."""
    answers: tuple[int, ...] | None = None
    """Which inputs `bprop` answers for (``None``: all); the others are data."""

    training: bool = True
    hooks: dict[int, Hook] = {}  # noqa: RUF012 - never written to: a module with hooks has a mapping of its own
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
            source = source_of(new) if own[name] in PARAMETERS else None
            if source is not None and source is not own[name]:
                raise ArgumentError(
                    f"{self._label}.{name} is set to the value of {source.name or 'another parameter'}, which might mean one "
                    f"parameter or two: write nn.tie(module, {name!r}, …) with paths in the module that holds both, such as "
                    f"nn.tie(model, 'decoder.W', 'encoder.W'), to share it, or assign a copy, np.array(…), to start there"
                )
            own[name].write(owned(new))
        elif name.endswith("_bar") and name[:-4] in own:
            self._set_bar(name[:-4], asarray(value))
        elif name == "hooks":
            raise ArgumentError(f"{self._label}.hooks is what Module.hook keeps: give the attribute another name")
        else:
            for path, one in leaves(name, value):
                if isinstance(one, Array):
                    raise self._refusal(path, one)
                if isinstance(one, Cell):
                    raise ArgumentError(
                        f"{self._label}.{path} is a parameter or state inside a {type(value).__name__}, where it would not "
                        f"be found: give it an attribute of its own, or to a module, and put modules there"
                    )
                if isinstance(one, Module):
                    one.__dict__.setdefault("_name", path)
            object.__setattr__(self, name, value)

    def _refusal(self, path: str, value: Array) -> BpropError:
        """Return the error for an array as an attribute, which would be neither trained nor saved."""
        if isinstance(value, Tracer):
            return StateError(
                f"{self._label}.{path} = {value.spec} under {value.owner.name}: a value under a transform does not outlive "
                f"it; declare the attribute with nn.state(…) in __init__, return the value, or use self.keep({path}=…)"
            )
        source = source_of(value)
        shared = (
            ""
            if source is None
            else f", nn.tie(module, …) to share {source.name or 'the parameter'} that it is read from"
        )
        return ArgumentError(
            f"{self._label}.{path} = {value.spec}: an array that would be neither trained nor saved; write nn.parameter(…) for "
            f"what is trained, nn.state(…) for what is kept and saved{shared}, or a NumPy array, np.asarray(…), for a constant"
        )

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
                frame.kept.update({name: unchanging(value) for name, value in values.items()})
                return

    @property
    def _label(self) -> str:
        name = self.__dict__.get("_name")
        return f"{name}:{type(self).__name__}" if name else type(self).__name__

    # --- application ---
    def __call__(self, *inputs: Any) -> Any:
        """Apply the module as a pure function: nothing stays in it."""
        try:
            if not self.hooks:
                return self._applied(inputs)
            y = self._applied(on_inputs(self, tuple(watched(self, "x_bar", inputs))))
            return watched(self, "y_bar", [hooked(self, "y", y)])[0]
        except BpropError as error:
            self._note(error)
            raise

    def _applied(self, inputs: tuple[Any, ...]) -> Any:
        formula = type(self)._formula
        if formula is None:
            raise self._without_formula()
        if current() is EVALUATE:
            token = SWEEP.set(PURE)
            try:
                return formula(self, *inputs)
            finally:
                SWEEP.reset(token)
        if type(self)._rule is None or type(self).composes:
            return formula(self, *inputs)
        return apply_rule(self, formula, type(self)._rule, inputs)

    def _without_formula(self) -> StateError:
        renamed = ": rename its forward to fprop" if callable(getattr(type(self), "forward", None)) else ""
        return StateError(f"{type(self).__name__} defines no fprop{renamed}")

    def _note(self, error: BpropError) -> None:
        """Add this module to the path in an error that unwinds, and the name it knows the last one by."""
        path = next((path for path, child in self.children() if child is error.source), None)
        if path is not None:
            error.modules[0] = f"{path}:{type(error.source).__name__}"
        error.inside(self._label, self)

    def hook(self, *, x: Any = None, y: Any = None, y_bar: Any = None, x_bar: Any = None) -> Hook:
        """See, and replace if you like, what goes into and comes out of the module: x and y on the way forward, y_bar and
        x_bar on the way back.

        Each is a function of (module, value); several inputs are one tuple. What it returns takes the place of the value,
        ``None`` leaves it. A replaced x or y is differentiated like any other step; a replaced y_bar or x_bar changes the
        gradient, in ``bprop`` and under reverse-mode transforms alike (forward mode passes it by). Values are under
        differentiation or compilation where the module is: ``value.concrete()`` gives the numbers for looking only, or
        ``None`` where there are none yet. Hooks run in the order they were made; ``remove()`` on the result takes them off.

        **Source:** PyTorch, ``register_forward_pre_hook``, ``register_forward_hook``, ``register_full_backward_hook``.

        >>> import bprop
        >>> from bprop import nn
        >>> module = nn.Tanh()
        >>> halved = module.hook(x_bar=lambda module, x_bar: x_bar / 2)
        >>> bprop.grad(module)(0.0)
        Array(0.5)
        >>> halved.remove(); bprop.grad(module)(0.0)
        Array(1.)
        """
        return Hook(self, checked(self, {"x": x, "y": y, "y_bar": y_bar, "x_bar": x_bar}))

    # --- equations ---
    def equations(self, *inputs: Any) -> Equations:
        """Return the equations of fprop and bprop, derived from the module itself: ``print`` them, or see them typeset.

        ``inputs`` are examples, arrays or shapes, of which only shape and dtype matter; without them the module is asked for
        an `example`, or shapes (N, …) that fit its parameters are tried. A handwritten ``bprop`` shows its own formula. A
        module that holds others is written with them as functions, and their equations follow by path, on the way back in
        reverse order. Raises `ArgumentError` where no shape fits, `TracedValueError` where fprop looks at numbers.

        **Source:** Leibe (2016), Backpropagation, modular implementation.

        >>> from bprop import nn
        >>> print(nn.Tanh().equations())
        Tanh() of x: float64[2,4]
        fprop
          y = tanh(x)
        bprop
          x_bar = y_bar * (1 - tanh(x) ** 2)
        """
        return equations(self, inputs)

    def example(self) -> tuple[Any, ...] | None:
        """Return example inputs, arrays or shapes, for `equations`; ``None`` leaves them to be found. A subclass may say."""
        return None

    # For type checkers, so that a subclass may name its own inputs: every signature may override this one.
    if TYPE_CHECKING:

        def fprop(self, *args: Any, **kwargs: Any) -> Any: ...
        def bprop(self, *args: Any, **kwargs: Any) -> Any: ...

    else:

        def fprop(self, *inputs: Any) -> Any:
            """Return y and, outside transforms, keep x, y and intermediates for `bprop`. Subclasses write the formula here."""
            raise self._without_formula()

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
        try:
            before = after = None
            if self.hooks:
                x, before = through(self, "x", inputs[0] if len(inputs) == 1 else inputs)
                inputs = x if isinstance(x, tuple) else (x,)
            inputs = tuple(map(unchanging, inputs))
            frame = Frame(inputs, sweep)
            formula = type(self)._formula
            assert formula is not None
            if type(self)._rule is not None:
                with active(self, frame):
                    frame.y = formula(self, *inputs)
            else:
                self._record(frame, formula)
            y = frame.y
            if self.hooks:
                y, after = through(self, "y", y)
                frame.hooked = y, before, after
        except BpropError as error:
            self._note(error)
            raise
        finally:
            if token is not None:
                SWEEP.reset(token)
        frames: list[Frame] = self.__dict__.setdefault("_frames", [])
        if frames and frames[-1].sweep is not sweep:
            frames.clear()  # frames of an earlier fprop that no bprop answered
        frames.append(frame)
        self.__dict__["_last"] = frame
        return y

    def _record(self, frame: Frame, formula: Callable[..., Any]) -> None:
        """Run a formula without a handwritten rule and keep its derived pullback."""
        owner = Record(name=f"{type(self).__name__}.fprop")
        cells = [cell for cell in self.cells().values() if cell.trainable]
        parameters = lift_cells(owner, cells)
        floats = [is_float(x) for x in frame.inputs]
        lifted = [owner.input(asarray(x)) if f else x for x, f in zip(frame.inputs, floats, strict=True)]
        variables = [x for x, f in zip(lifted, floats, strict=True) if f]
        with using(owner), active(self, frame):
            y = formula(self, *lifted)
        if not isinstance(y, Array):
            raise ArgumentError(f"{type(self).__name__}.fprop returned {type(y).__name__}, not an array")
        self._refuse_foreign(owner, cells)
        owner.close()
        frame.kept = {name: owner.lower(value) for name, value in frame.kept.items()}
        frame.y = owner.lower(y)

        def pullback(y_bar: Any) -> Any:
            bars = backward([y], [y_bar], [*variables, *parameters], owner)
            for cell, x, bar in zip(cells, parameters, bars[len(variables) :], strict=True):
                self._deposit(cell, zeros(x.shape, dtype=x.dtype) if bar is None else bar, frame.sweep)
            found = iter(bars[: len(variables)])
            x_bars = []
            for x, f in zip(lifted, floats, strict=True):
                bar = next(found) if f else None
                x_bars.append(zeros(x.shape, dtype=x.dtype) if f and bar is None else bar)
            return x_bars[0] if len(x_bars) == 1 else tuple(x_bars)

        frame.pullback = pullback

    def _refuse_foreign(self, owner: Record, own: list[Cell]) -> None:
        """Refuse what read a parameter that is not found here: `bprop` would leave no gradient for it."""
        for cell in owner.cells:
            if cell.trainable and cell not in own:
                raise ArgumentError(
                    f"{self._label}.fprop reads {cell.name or 'a parameter'}, a parameter of no module inside, for which "
                    f"bprop would leave no gradient: make its module an attribute of a class of your own, freeze it, or "
                    f"differentiate with bprop.value_and_grad a function of a model that holds both"
                )

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
            y, before, after = frame.hooked or (frame.y, None, None)
            y_bar = hooked(self, "y_bar", self._seed(y, y_bar))
            frame.y_bar = y_bar if after is None else after(y_bar)
            if frame.pullback is not None:
                frame.x_bar = frame.pullback(frame.y_bar)
            else:
                rule = type(self)._rule
                assert rule is not None
                with active(self, frame):
                    frame.x_bar = rule(self, frame.y_bar)
                check_answer(self, frame.inputs, frame.x_bar, frame.bars)
                for name, bar in frame.bars.items():
                    self._store(name, bar, frame.sweep)
            if self.hooks or before is not None:
                frame.x_bar = on_x_bar(self, frame.x_bar if before is None else before(frame.x_bar))
        except BpropError as error:
            self._note(error)
            raise
        frames.pop()
        frame.x_bar = self._answer(frame.x_bar)
        return frame.x_bar

    def _answer(self, x_bar: Any) -> Any:
        """Return what `bprop` hands to the layer below."""
        if self.answers is None or not isinstance(x_bar, tuple):
            return x_bar
        bars = tuple(x_bar[place] for place in self.answers)
        return bars[0] if len(bars) == 1 else bars

    def _seed(self, y: Array, y_bar: Any) -> Array:
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

    method.__name__ = "fprop" if kind == "_formula" else "bprop"
    method.__qualname__ = written.__qualname__
    method.__doc__ = written.__doc__ or getattr(Module, method.__name__).__doc__
    return method


__all__ = ["Cell", "Module"]
