"""The families that work entry by entry: a function of the entries, or a choice among them."""

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import dtype as dtypes
from .error import DerivativeError, DTypeError
from .op import Op, Operand, dtype_of, shape_of
from .shape import broadcast
from .value import Array, Spec

Kind = Literal["same", "number", "integer", "bits", "float", "real", "bool", "given"]
Partial = Callable[..., Any] | float | None


def _result_dtype(kind: Kind, operands: tuple[Operand, ...]) -> "np.dtype[Any]":
    if kind == "bool":
        return dtypes.BOOL
    promoted = dtypes.result_type(*map(dtype_of, operands))
    if kind in ("number", "integer") and promoted.kind == "b":
        raise DTypeError("bool is no number here: convert with .astype(int) or .astype(float)")
    if kind in ("integer", "bits") and promoted.kind in "fc":
        raise DTypeError(
            f"{promoted} has no bits to work on: convert with .astype(int), or compare first (x > 0 is a truth value)"
        )
    if kind == "real":
        return dtypes.to_real(promoted)
    return dtypes.to_float(promoted) if kind == "float" else promoted


class NoDerivative:
    """A partial that nobody has: who asks for the derivative by this operand gets an error that names it."""

    def __init__(self, op: str, operand: str) -> None:
        self.op = op
        self.operand = operand

    def __call__(self, y: Any, *xs: Any, **params: Any) -> Any:
        raise DerivativeError(
            f"{self.op} has no derivative by {self.operand}: give a constant, or cut the derivative on purpose with "
            f"bprop.stop_gradient({self.operand})"
        )


class Elementwise(Op):
    """y = f(x1, x2, …) entry by entry with broadcasting.

    ``partials``: one ∂y/∂xᵢ per input, a function of ``(y, *xs, **params)`` written with ops, a constant number,
    ``None`` where the result does not vary with that input, or `NoDerivative` where nobody has a formula. ``kind``: of operands
    and result: ``"number"`` refuses bool, ``"integer"`` floats too, ``"bits"`` only floats; ``"float"`` turns integers into
    float64, ``"real"`` has the dtype of the real parts, ``"bool"`` is the result's dtype, ``"given"`` says a parameter.
    ``native``: an instruction's name, a function of ops that is
    expanded, or ``"callback"``: native code calls ``evaluate`` back. ``identity``: (position, constant) pairs for
    which f returns the other operand, used by simplification; the sign of a zero counts (x + 0 is not -0 for x = -0).
    ``complex_step``: how the complex step evaluates it: by the same NumPy function (``True``), by a function of its own, on the
    real part (comparisons), or not at all (``None``: refused by name).
    ``domain``: the open interval in which the op and its derivatives are finite, or one interval per input.
    ``logical``: operands are read as truth values, and native code computes with bools.
    ``takes_complex``: y is a holomorphic function and ``partials`` its complex derivatives; of a y that is real the partial p
    stands for y_dot = Re(p · x_dot).
    """

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **params: Any) -> Array: ...

    def __init__(
        self,
        name: str,
        evaluate: Callable[..., Any],
        *partials: Partial,
        kind: Kind = "same",
        native: str | Callable[..., Any] | None = None,
        complex_step: Callable[..., Any] | bool | None = True,
        identity: tuple[tuple[int, float], ...] = (),
        absorbing: float | None = None,
        domain: tuple[float, float] | tuple[tuple[float, float], ...] = (-inf, inf),
        logical: bool = False,
        **rest: Any,
    ) -> None:
        refined = {"float": _promoting, "number": _counting, "integer": _counting}.get(kind)
        super().__init__(name, evaluate if refined is None else refined(evaluate), **rest)
        self.partials = partials
        self.arity = len(partials)
        self.kind: Kind = kind
        self.native = native or name
        self.complex_step = complex_step
        self.identity = identity
        self.absorbing = absorbing
        self.domain = domain
        self.logical = logical
        self.differentiable = any(partial is not None for partial in partials)

    def spec(self, *operands: Operand, **params: Any) -> Spec:
        try:
            dtype = params["dtype"] if self.kind == "given" else _result_dtype(self.kind, operands)
        except DTypeError as error:
            raise DTypeError(f"{self.name}: {error.message}") from None
        return Spec(broadcast(self.name, *map(shape_of, operands)), dtype)

    def evaluate_of(self, dtypes: Sequence[Any]) -> Callable[..., Any]:
        first = dtypes[0]
        if first is not None and first.kind in "fc" and all(dtype is first for dtype in dtypes[1:]):
            return getattr(self.evaluate, "alike", self.evaluate)
        if any(dtype is not None and dtype.kind in "fc" for dtype in dtypes):
            return getattr(self.evaluate, "ufunc", self.evaluate)
        return self.evaluate


def _promoting(ufunc: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy computes exp(int8) in float16; here integers mean float64. Formulas get their operands in one dtype."""
    if not isinstance(ufunc, np.ufunc):
        return _unified(ufunc)

    def evaluate(*xs: Any, **params: Any) -> Any:
        y = ufunc(*xs, **params)
        if y.dtype != np.float64 and dtypes.result_type(*(getattr(x, "dtype", x) for x in xs)).kind not in "fc":
            y = ufunc(*(np.asarray(x, np.float64) for x in xs), **params)
        return y

    evaluate.alike = evaluate.ufunc = ufunc  # type: ignore[attr-defined]
    return evaluate


def _unified(formula: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate(*xs: Any, **params: Any) -> Any:
        first = getattr(xs[0], "dtype", None)
        if first is None or first.kind not in "fc" or any(getattr(x, "dtype", None) != first for x in xs[1:]):
            dtype = dtypes.to_float(dtypes.result_type(*(getattr(x, "dtype", x) for x in xs)))
            xs = tuple(np.asarray(x, dtype) for x in xs)
        return formula(*xs, **params)

    evaluate.alike = formula  # type: ignore[attr-defined]
    return evaluate


def _counting(ufunc: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy computes with truth values in int8; here they are no numbers (the shape rule words the error)."""

    def evaluate(*xs: Any) -> Any:
        y = np.asarray(ufunc(*xs))
        if y.dtype.char in "?b" and all(np.asarray(x).dtype.kind == "b" for x in xs):
            raise TypeError("bool is no number")
        if y.dtype.char == "O":  # what NumPy makes of Python integers beyond 64 bits
            raise OverflowError("a Python integer is too large for any dtype")
        return y

    evaluate.alike = evaluate.ufunc = ufunc  # type: ignore[attr-defined]
    return evaluate


class Selection(Op):
    """y takes, entry by entry, the value of one of its inputs.

    ``tie_fractions``: for each input a function of ``(y, *xs)`` that says where it was chosen (bool), or with which fraction at
    ties (float in [0, 1]); ``None`` for an input that only controls. Where the fraction is zero the cotangent is absent.
    """

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **params: Any) -> Array: ...

    def __init__(
        self,
        name: str,
        evaluate: Callable[..., Any],
        *tie_fractions: Callable[..., Any] | None,
        native: str | Callable[..., Any] | None = None,
        complex_step: Callable[..., Any] | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(name, evaluate, **rest)
        self.tie_fractions = tie_fractions
        self.arity = len(tie_fractions)
        self.native = native or name
        self.complex_step = complex_step

    def spec(self, *operands: Operand, **params: Any) -> Spec:
        chosen = [dtype_of(x) for x, fraction in zip(operands, self.tie_fractions, strict=True) if fraction is not None]
        return Spec(broadcast(self.name, *map(shape_of, operands)), dtypes.result_type(*chosen))

    def operands(self) -> list[str]:
        """Return the names of the operands: an input that only controls is the condition."""
        chosen = [fraction for fraction in self.tie_fractions if fraction is not None]
        names = iter(["x"] if len(chosen) == 1 else [f"x{number}" for number in range(1, len(chosen) + 1)])
        return ["condition" if fraction is None else next(names) for fraction in self.tie_fractions]
