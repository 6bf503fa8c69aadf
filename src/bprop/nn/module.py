"""`Module`: ``y = module.fprop(x)`` and ``x_bar = module.bprop(y_bar)``, as in Torch and the lecture.

Called as ``module(x)`` a module is a pure function. ``module.fprop(x)`` outside any transform also saves a `Frame` (x,
y and intermediates) for ``module.bprop(y_bar)``, which returns x_bar and leaves the parameter gradients in the module.
A subclass writes ``fprop``; the backward pass is derived. It may write ``bprop`` too, reading ``self.x``, ``self.y``
and leaving ``self.W_bar``: then that rule is used wherever the module appears, under every transform.

What a module holds is `ModuleState`; the passes outside transforms are in ``layerwise.py``.

**Source:** Leibe (2016), Backpropagation, modular implementation; Collobert, Kavukcuoglu & Farabet (2011), Torch7.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.error import ArgumentError, BpropError, DTypeError, StateError
from ..core.interpreter import EVALUATE, current
from ..core.value import Array, asarray
from ..formula.equation import Equations
from .derivation import equations
from .frame import PASS, PURE, innermost
from .hook import Hook, apply_hooks, apply_input_hooks, make_hook, with_cotangent_hooks
from .layerwise import run_backward, run_forward
from .module_state import ModuleState, add_location
from .rule import apply_rule


class Module(ModuleState):
    """Base class of everything with parameters. Write ``__init__`` and ``fprop``; ``bprop`` by hand is welcome.

    Attributes that are `parameter`, `state`, modules, or lists and dicts of modules are found by path; other arrays are
    refused, NumPy's are constants. A module that two others hold is one module; `tie` makes one parameter of two.
    ``training`` is true until `eval` is called.

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

    hooks: dict[int, Hook]

    def __init_subclass__(cls, **options: Any) -> None:
        """Wrap what a subclass writes, so that ``fprop`` and ``bprop`` keep frames; ``_formula`` and ``_rule`` do not."""
        super().__init_subclass__(**options)
        if "fprop" in cls.__dict__:
            cls._formula = cls.__dict__["fprop"]
            cls.fprop = _forward_method(cls._formula)  # type: ignore[method-assign]
            if "bprop" not in cls.__dict__:
                cls._rule = None  # a new formula needs a new rule
        if "bprop" in cls.__dict__:
            cls._rule = cls.__dict__["bprop"]
            cls.bprop = _backward_method(cls._rule)  # type: ignore[method-assign]

    # --- application ---
    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Apply the module as a pure function: it saves nothing.

        - ``inputs``, ``named``: the arguments of ``fprop``.
        """
        if named:
            inputs = self._by_position(inputs, named)
        try:
            if not self.hooks:
                return self._applied(inputs)
            y = self._applied(apply_input_hooks(self, with_cotangent_hooks(self, "x_bar", inputs)))
            return with_cotangent_hooks(self, "y_bar", apply_hooks(self, "y", y))
        except BpropError as error:
            add_location(self, error)
            raise

    def _applied(self, inputs: tuple[Any, ...]) -> Any:
        formula = type(self)._formula
        if formula is None:
            raise self._without_formula()
        if current() is EVALUATE:
            token = PASS.set(PURE)
            try:
                return formula(self, *inputs)
            finally:
                PASS.reset(token)
        if type(self)._rule is None or type(self).composes:
            return formula(self, *inputs)
        return apply_rule(self, formula, type(self)._rule, inputs)

    def _by_position(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        """Return the arguments of the formula in its order, up to the last given, with the defaults of those in between."""
        formula = type(self)._formula
        if formula is None:
            raise self._without_formula()
        signature = inspect.signature(formula)
        try:
            arguments = signature.bind(self, *inputs, **named)
        except TypeError as error:
            names = ", ".join(list(signature.parameters)[1:])
            raise ArgumentError(f"{self._label}: {error}; its fprop takes ({names})") from None
        given = list(arguments.arguments)
        arguments.apply_defaults()
        return arguments.args[1 : 1 + list(signature.parameters).index(given[-1])]

    def _without_formula(self) -> StateError:
        renamed = ": rename its forward to fprop" if callable(getattr(type(self), "forward", None)) else ""
        return StateError(f"{type(self).__name__} defines no fprop{renamed}")

    def hook(self, *, x: Any = None, y: Any = None, y_bar: Any = None, x_bar: Any = None) -> Hook:
        """See, and replace if you like, what goes into and comes out of the module: x and y in the forward pass, y_bar and
        x_bar in the backward pass.

        - ``x``, ``y``, ``y_bar``, ``x_bar``: functions of (module, value), any of them. Several inputs or results are
          one tuple, and so are the cotangents of all their floating arrays. What a function returns takes the place of
          the value, ``None`` leaves it. A new y_bar or x_bar has the shape of the old one and is converted to its
          dtype.

        A replaced x or y is differentiated like any other step; a replaced y_bar or x_bar changes the gradient, in
        ``bprop`` and under reverse-mode transforms alike (forward mode passes it by). Values are under differentiation
        or compilation where the module is: ``value.concrete()`` returns the numbers to look at, or ``None`` where there
        are none yet. Hooks run in the order they were made; ``remove()`` on the result detaches them.

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
        return make_hook(self, {"x": x, "y": y, "y_bar": y_bar, "x_bar": x_bar})

    # --- equations ---
    def equations(self, *inputs: Any) -> Equations:
        """Return the equations of fprop and bprop, derived from the module itself: ``print`` them, or see them typeset.

        - ``inputs``: example inputs, arrays or shapes. Only shape and dtype matter. Without them the module is asked
          for an `example`, or shapes (N, …) that fit its parameters are tried.

        A handwritten ``bprop`` shows its own formula. A module that holds others is written with them as functions, and
        their equations follow by path, in the backward pass in reverse order. Raises `ArgumentError` where no shape
        fits, `TracedValueError` where fprop looks at numbers.

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

    # For type checkers, so that a subclass may name its own inputs: every signature may override this one.
    if TYPE_CHECKING:

        def fprop(self, *args: Any, **kwargs: Any) -> Any: ...
        def bprop(self, *args: Any, **kwargs: Any) -> Any: ...

    else:

        def fprop(self, *inputs: Any, **named: Any) -> Any:
            """Return y and, outside transforms, save x, y and intermediates for `bprop`. Subclasses write the formula here.

            y is an array, or a tuple or dict of such.

            - ``inputs``, ``named``: arrays, in the shapes and dtypes that the subclass takes, or tuples of such.
            """
            raise self._without_formula()

        def bprop(self, *y_bar: Any) -> Any:
            """Return x_bar = dE/dx, in the shape of x, for y_bar = dE/dy; parameter gradients stay in the module.

            Of several inputs it returns a tuple with the cotangent of each.

            - ``y_bar``: an array in the shape of y, converted to its dtype; 1 for a scalar y if it is left out. Of a y
              that is a tuple, one for each entry; those left out, or ``None``, are 0.

            Raises `StateError` without an `fprop` before it, `ShapeError` where y_bar has another shape than y,
            `ArgumentError` where it has another form.
            """
            return run_backward(self, *y_bar)

    def check_dtype(self, x: Any, name: str) -> Array:
        """Return ``x`` as an array, refusing a floating dtype other than that of a parameter.

        - ``x``: an input of the module, of any shape.
        - ``name``: the attribute that holds the parameter, such as ``"W"``.

        Raises `DTypeError`. Integers and bools are not converted.
        """
        x = asarray(x)
        expected = self.__dict__["_cells"][name].read().dtype
        if x.dtype.kind == "f" and x.dtype != expected:
            raise DTypeError(
                f"{type(self).__name__}: x is {x.dtype} but {name} is {expected}: write x.astype({str(expected)!r}), or make "
                f"the layer with dtype={str(x.dtype)!r}"
            )
        return x


def _forward_method(formula: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method ``fprop`` around a formula that a subclass wrote.

    It is the plain formula where it is called from within itself, ``super().fprop(x)``.
    """

    def fprop(self: Module, *inputs: Any, **named: Any) -> Any:
        # The formula of a base class is only ever meant by super().
        if formula is not type(self)._formula or innermost() is self:
            return formula(self, *inputs, **named)
        if named:
            inputs = self._by_position(inputs, named)
        if current() is not EVALUATE or PASS.get() is PURE:
            return self(*inputs)
        return run_forward(self, inputs)

    return _documented(fprop, formula)


def _backward_method(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method ``bprop`` around a rule that a subclass wrote: from within a rule it is the plain rule."""

    def bprop(self: Module, *y_bar: Any) -> Any:
        return rule(self, *y_bar) if innermost() is self else run_backward(self, *y_bar)

    return _documented(bprop, rule)


def _documented(method: Callable[..., Any], written: Callable[..., Any]) -> Callable[..., Any]:
    method.__qualname__ = written.__qualname__
    method.__doc__ = written.__doc__ or getattr(Module, method.__name__).__doc__
    return method


__all__ = ["Module"]
