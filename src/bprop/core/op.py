"""What an op is: a name, how to evaluate it, its shape and dtype rule, its text. Families add their derivative."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .dtype import WEAK, result_type
from .error import AllocationError, ArgumentError, BpropError, DTypeError
from .function import declared
from .interpreter import CURRENT
from .traced_float import TracedFloat, plain
from .value import Array, Spec, converted

Operand = Spec | bool | int | float | complex
"""What a shape rule sees of an argument: its `Spec`, or a weak Python scalar."""

REGISTRY: dict[str, "Op"] = {}
"""Every op by name. The tests run over this table: an op is tested by being in it."""


class Op:
    """One primitive operation. Calling it applies it under the current interpreter.

    ``text`` and ``latex`` are templates over the operands, or functions of what `spec` takes that return one; ``code`` is one
    of NumPy code where the text would lose digits, or names what NumPy (np), SciPy's special or linalg call otherwise;
    ``level`` is their precedence (0 comparison, 1 sum, 2 product, 3 sign, 4 power, 9 call). ``examples(draw)`` gives
    calls ``(args, params)`` for the registry's tests where the family's default ones will not do; ``draw(2, 3)`` makes
    an operand. ``role``: what it is in a written formula ("sum", "product", "case", …), for the passes that arrange one.
    """

    differentiable = True
    is_region = False
    several = False
    """Whether the result is a tuple of arrays; cotangents and tangents of it are then tuples too (``None``: absent)."""
    effect = False
    """Whether an application does something besides its result: it is never dropped, merged or moved past another."""
    arity: int | None = None
    """How many operands the op takes; ``None`` where its shape rule or public function sees to it."""

    takes_complex = False
    """Whether operands may be complex, and the derivative is then right. Another op refuses them by name."""
    intercepted = False
    """Whether an application does not go straight to ``evaluate``: of a region, or where complex operands are to be refused."""

    reads_scalars = False
    """Whether the number of a Python scalar among its operands decides how it is computed or differentiated."""

    def __init__(
        self,
        name: str,
        evaluate: Callable[..., Any],
        *,
        text: "str | Callable[..., str] | None" = None,
        latex: "str | Callable[..., str] | None" = None,
        code: "str | Callable[..., str | None] | None" = None,
        level: int = 9,
        doc: str = "",
        examples: "Callable[[Any], Iterable[tuple[tuple[Any, ...], dict[str, Any]]]] | None" = None,
        role: str = "",
        takes_complex: bool | None = None,
    ) -> None:
        self.name = self.__name__ = name
        if takes_complex is not None:
            self.takes_complex = takes_complex
        self.intercepted = self.is_region or not (self.takes_complex or _refuses_complex(evaluate))
        self.evaluate = evaluate
        self.text = text
        self.latex = latex
        self.code = code
        self.level = level
        self.examples = examples
        self.role = role
        self.__doc__ = doc
        if name in REGISTRY:
            raise ValueError(f"op {name} is declared twice")
        REGISTRY[name] = self

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} op {self.name}>"

    def __reduce__(self) -> Any:
        return _registered, (self.name,)

    @property
    def __signature__(self) -> inspect.Signature:
        """What `help` and editors show, where the number of operands is known."""
        if self.arity is None:
            return inspect.signature(type(self).__call__)
        own = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in self.operands()]
        return inspect.Signature(own)

    def operands(self) -> list[str]:
        """Return the names of the operands: x, or x1, x2, …"""
        return ["x"] if self.arity == 1 else [f"x{number}" for number in range(1, (self.arity or 0) + 1)]

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Apply the op to arrays, NumPy arrays and Python scalars."""
        if len(args) != self.arity and self.arity is not None:  # NumPy would take one too many as its output array
            raise ArgumentError(f"{self.name} takes {self.arity} operand{'s' * (self.arity != 1)}, not {len(args)}")
        for arg in args:
            if not isinstance(arg, Array) and type(arg) not in WEAK:
                args = self.converted(args)
                break
        return CURRENT.get().bind(self, args, params)

    def converted(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return arguments as arrays and Python scalars; a traced float as an array of the dtype that others give it."""
        args = tuple(operand(self.name, arg) for arg in args)
        if not any(type(arg) is TracedFloat for arg in args):
            return args
        if self.reads_scalars:
            return tuple(map(plain, args))
        dtype = result_type(1.0, *(arg.dtype for arg in args if isinstance(arg, Array)))
        return tuple(arg.array(dtype) if type(arg) is TracedFloat else arg for arg in args)

    def spec(self, *operands: Operand, **params: Any) -> Spec | tuple[Spec, ...]:
        """Return shape and dtype of the result, or raise the error that names what does not fit."""
        raise NotImplementedError

    def refuse_complex(self, operands: Iterable[Any]) -> None:
        """Raise where an operand is complex and the op does not take complex numbers."""
        if self.takes_complex:
            return
        for x in operands:
            if type(x) is complex or (type(x) not in WEAK and x.dtype.kind == "c"):
                raise DTypeError(
                    f"{self.name} takes no complex numbers, and an operand is {getattr(x, 'dtype', 'complex')}: write it "
                    f"with z.real, z.imag, bprop.abs(z) or bprop.angle(z)"
                )

    def evaluate_of(self, dtypes: Sequence[Any]) -> Callable[..., Any]:
        """Return what computes the result of operands of these dtypes, ``None`` for a Python scalar: `evaluate`, or less.

        A result of shape () may be a NumPy scalar.
        """
        return self.evaluate

    def staged(self, args: tuple[Any, ...], params: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters a traced node keeps; regions turn the functions they hold into graphs."""
        return params

    def explain(self, error: Exception, args: tuple[Any, ...], params: dict[str, Any]) -> BpropError:
        """Turn a failure inside NumPy into an error that names the op and what it was given."""
        operands = [arg.spec if isinstance(arg, Array) else arg for arg in args]
        try:
            self.refuse_complex(operands)
            self.spec(*operands, **params)
        except BpropError as better:
            return better
        shown = ", ".join(map(str, operands))
        if isinstance(error, MemoryError):
            return AllocationError(f"{self.name}({shown}): {error or 'there is no memory for the result'}")
        kind = DTypeError if isinstance(error, TypeError | OverflowError) else ArgumentError
        return kind(f"{self.name}({shown}): {error}")


def _refuses_complex(evaluate: Callable[..., Any]) -> bool:
    """Return whether NumPy itself refuses complex operands."""
    ufunc = getattr(evaluate, "ufunc", evaluate)
    return isinstance(ufunc, np.ufunc) and not any(set(loop.split("->")[0]) & set("FDG") for loop in ufunc.types)


def _registered(name: str) -> Op:
    """Return the op of that name; how ops are copied and pickled."""
    declared(REGISTRY, name)
    return REGISTRY[name]


def operand(name: str, arg: Any) -> Any:
    """Return ``arg`` as something an op takes: an `Array` or a weak Python scalar."""
    if isinstance(arg, Array) or type(arg) in WEAK:
        return arg
    if type(arg) is np.ndarray:
        return converted(name, arg)
    if type(arg) is TracedFloat:
        return arg.weak()
    if isinstance(arg, np.matrix):
        raise ArgumentError(
            f"{name}: a numpy.matrix multiplies as matrices do and a bprop array entry by entry, so say which is meant: "
            f"write numpy.asarray(a), and @ for a product of matrices"
        )
    if isinstance(arg, np.ndarray | np.generic | list | tuple):
        return converted(name, arg)
    if arg is None or isinstance(arg, str | bytes | dict | set) or callable(arg):
        raise ArgumentError(f"{name}: an argument is {type(arg).__name__} ({arg!r:.60}), not an array or a number")
    return converted(name, arg)


def array(name: str, x: Any) -> Array:
    """Return ``x`` as an `Array`, whatever an op takes; ``name`` is for the error."""
    return x if isinstance(x, Array) else converted(name, operand(name, x))


def role_of(op: Op | None) -> str:
    """Return the role of an op in a written formula; an input of a graph has none."""
    return op.role if op is not None else ""


def shape_of(x: Operand) -> tuple[int, ...]:
    """Return the shape a shape rule sees; scalars have ()."""
    return x.shape if isinstance(x, Spec) else ()


def dtype_of(x: Operand) -> Any:
    """Return what `numpy.result_type` should see: a dtype, or the weak scalar itself."""
    return x.dtype if isinstance(x, Spec) else x
