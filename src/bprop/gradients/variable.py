"""Arguments of transforms: which leaves are variables, and how results get their structure back."""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, TypeVar, cast

import numpy as np

from ..core import dtype as dtypes
from ..core.cell import Cell
from ..core.error import ArgumentError, DTypeError, ShapeError
from ..core.interpreter import Interpreter
from ..core.tree import LEAF_ALONE, Structure, flatten, is_holder, leaf_paths, map, spread, unflatten
from ..core.value import Array, asarray
from ..ops import astype

Function = Callable[..., Any]
Argnums = int | Sequence[int]
C = TypeVar("C", bound=Callable[..., Any])


def name_of(f: Function) -> str:
    """Return how ``f`` is called in messages, or raise where it is no function."""
    if not callable(f):
        raise ArgumentError(
            f"a transform takes a function, not {type(f).__name__}: write bprop.grad(f)(x), not bprop.grad(f(x))"
        )
    return getattr(f, "__name__", type(f).__name__)


def both_forms(function: C) -> C:
    """Let a function of ``(f, *args)`` be called as ``function(f)(*args)``, too.

    Without arguments it is called at once only where ``f`` can be.
    """

    @wraps(function)
    def called(f: Function, /, *args: Any, **options: Any) -> Any:
        if not args and _needs_arguments(f, options):
            return partial(function, f, **options)
        return function(f, *args, **options)

    return cast(C, called)


def _needs_arguments(f: Function, options: Mapping[str, Any]) -> bool:
    """Return whether ``f`` cannot be called with these options alone."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):  # a built-in function that does not say
        return callable(f)
    return any(
        parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.name not in options
        for parameter in parameters
    )


def refuse_arguments(argnums: Any, what: str) -> None:
    """Raise where the first argument of ``f`` stands in the place of ``argnums``: f and arguments are given apart."""
    if not isinstance(argnums, int) and not (
        isinstance(argnums, Sequence) and all(isinstance(number, int) for number in argnums)
    ):
        raise ArgumentError(
            f"{what}: argnums is an integer or a tuple of them, not {argnums!r:.60}; the arguments of the function come in a "
            f"call of their own: write bprop.{what}(f)(x), not bprop.{what}(f, x)"
        )


_NUMBERS = frozenset((np.ndarray, Array, float, np.float64))
"""Types of arguments that are one leaf."""


class TreeValues:
    """The values in a tree of arguments, in order: arrays among its leaves, and the cells of modules and their like.

    ``values`` are arrays and cells; ``slots`` says for every leaf which of them it holds: ``None`` for one array, else the
    paths of its cells, of which a static leaf (a name, a function) has none.
    """

    def __init__(self, tree: Any, array_of: Callable[[Any], Array | None], trainable: bool = False) -> None:
        """``array_of`` gives the array that a leaf is, ``None`` for a static one; ``trainable``: other cells are left out."""
        alone = type(tree) in _NUMBERS  # which most arguments are
        self.leaves, self.structure = ([tree], LEAF_ALONE) if alone else flatten(tree, is_holder)
        self.values: list[Any] = []  # of type Array | Cell
        self.slots: list[list[str] | None] = []
        for leaf in self.leaves:
            if not alone and is_holder(leaf):
                cells = {path: cell for path, cell in leaf.cells().items() if cell.trainable or not trainable}
                self.slots.append(list(cells))
                self.values.extend(cells.values())
                continue
            value = array_of(leaf)
            self.slots.append([] if value is None else None)
            if value is not None:
                self.values.append(value)

    def read(self) -> list[Array]:
        """Return the values one level below, cells included."""
        return [value.read() if isinstance(value, Cell) else value for value in self.values]

    def holds_complex(self) -> bool:
        """Return whether one of the values is complex."""
        return any(value.dtype.kind == "c" for value in self.read())

    def argument(self, lifted: Iterable[Any]) -> Any:
        """Return the tree with its arrays replaced; holders and static leaves stand for themselves."""
        rest = iter(lifted)
        if self.structure is LEAF_ALONE and self.slots[0] is None:
            return next(rest)
        leaves = []
        for leaf, slot in zip(self.leaves, self.slots, strict=True):
            if slot is None:
                leaves.append(next(rest))
            else:
                for _ in slot:
                    next(rest)
                leaves.append(leaf)
        return unflatten(self.structure, leaves)


class Variables(TreeValues):
    """The leaves of one differentiated argument: arrays, and the trainable cells of modules."""

    def __init__(self, argument: Any, what: str) -> None:
        super().__init__(argument, lambda leaf: variable(leaf, what), trainable=True)

    def result(self, bars: Iterable[Any]) -> Any:
        """Return the derivatives in the structure of the argument: a mapping path → array for a holder."""
        rest = iter(bars)
        if self.structure is LEAF_ALONE and self.slots[0] is None:
            return next(rest)
        leaves = [next(rest) if slot is None else {path: next(rest) for path in slot} for slot in self.slots]
        return unflatten(self.structure, leaves)

    def tangents(self, tree: Any, what: str) -> list[Any]:
        """Return the tangents of ``tree``, given in the structure of `result`, checked against the values."""
        try:
            leaves = spread(self.structure, tree)
        except ArgumentError:
            raise ArgumentError(
                f"{what}: tangents have the structure {flatten(tree)[1]}, primals {self.structure}"
            ) from None
        flat: list[Any] = []
        for leaf, slot in zip(leaves, self.slots, strict=True):
            if slot is None:
                flat.append(leaf)
                continue
            if leaf is not None and not (isinstance(leaf, Mapping) and set(leaf) == set(slot)):
                raise ArgumentError(f"{what}: the tangents of a module are a mapping with the paths {', '.join(slot)}")
            flat.extend(None if leaf is None else leaf[path] for path in slot)
        result: list[Any] = []
        for value, tangent in zip(self.read(), flat, strict=True):
            if tangent is None:
                result.append(None)
                continue
            dot = asarray(tangent)
            if dot.shape != value.shape:
                raise ShapeError(f"{what}: a tangent has shape {dot.shape}, its primal {value.shape}")
            dtypes.refuse_dropping(f"{what}: a tangent", dot.dtype, value.dtype)
            result.append(astype(dot, value.dtype) if dot.dtype != value.dtype else dot)
        return result


def variable(leaf: Any, what: str) -> Array:
    """Return a leaf as an array to differentiate by, or raise what it is instead."""
    if isinstance(leaf, int) and abs(leaf) > sys.float_info.max:
        raise DTypeError(f"{what} has an integer of {leaf.bit_length():,} bits as a leaf, which no float holds")
    if isinstance(leaf, bool | int | str | bytes) or (callable(leaf) and not isinstance(leaf, Array)):
        raise DTypeError(
            f"{what} has a leaf {leaf!r:.40} of type {type(leaf).__name__}: derivatives are with respect to floating-point "
            f"arrays; write {float(leaf)!r}, or leave it out of argnums"
            if isinstance(leaf, int)
            else f"{what} has a leaf {leaf!r:.40}: derivatives are with respect to floating-point arrays only"
        )
    value = asarray(leaf)
    if not dtypes.is_inexact(value.dtype):
        raise DTypeError(
            f"{what} has dtype {value.dtype}: derivatives are with respect to floating-point or complex arrays (float32, float64, complex128); "
            f"convert with .astype(float), or leave it out of argnums"
        )
    return value


def refuse_complex(specs: Iterable[Any], what: str) -> None:
    """Raise where one of the values of a function is complex; ``what`` has no meaning for these."""
    for spec in specs:
        if spec.dtype.kind == "c":
            raise DTypeError(
                f"{what}: a value {spec} is complex, and its formulas are of real numbers: use method='reverse', 'forward' or "
                f"'numerical'"
            )


def argument_name(f: Function, number: int) -> str:
    """Return how argument ``number`` of ``f`` is called in messages."""
    name = parameter_name(f, number)
    return f"argument {number} ({name})" if name else f"argument {number}"


def leaf_label(f: Function, structure: Structure, position: int) -> str:
    """Return how the leaf at ``position`` of a call's ``(args, options)`` is called in messages."""
    kind, first, *rest = leaf_paths(structure)[position].split(".")
    return "argument " + ".".join([parameter_name(f, int(first)) or first if kind == "0" else first, *rest])


def parameter_name(f: Function, number: int) -> str:
    """Return the name of a parameter, looked up only when a message is being made; "" where Python does not say."""
    try:
        return list(inspect.signature(f).parameters)[number]
    except (ValueError, TypeError, IndexError):
        return ""


def positions(argnums: Argnums, count: int, what: str) -> tuple[tuple[int, ...], bool]:
    """Return the positions that ``argnums`` names, and whether it was a single number."""
    if type(argnums) is int and 0 <= argnums < count:
        return (argnums,), True
    single = isinstance(argnums, int)
    numbers = (
        (argnums,) if isinstance(argnums, int) else tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)
    )
    if not all(isinstance(number, int) for number in numbers):
        raise ArgumentError(f"{what}: argnums is an integer or a tuple of them, not {argnums!r}")
    for number in numbers:
        if not -count <= number < count:
            raise ArgumentError(
                f"{what}: argnums names argument {number}, but the call has {count} positional arguments"
            )
    places = tuple(number % count for number in numbers)
    if len(set(places)) != len(places):
        raise ArgumentError(f"{what}: argnums={argnums} names an argument twice")
    return places, single


def lowered(owner: Interpreter, tree: Any) -> Any:
    """Return ``tree`` with every value of ``owner`` replaced by what it is one level below."""
    return map(lambda leaf: owner.lower(leaf) if isinstance(leaf, Array) else leaf, tree, is_leaf=is_holder)


def as_array(result: Any, what: str) -> Array:
    """Return what a function returned as an array, or raise naming its type."""
    if not isinstance(result, Array):
        try:
            return asarray(result)
        except Exception:
            why = f"{type(result).__name__}, not an array"
            if result is None:
                why = "None: end it with `return` and the array that it computes"
            raise ArgumentError(f"{what} returned {why}") from None
    return result


def as_arrays(result: Any, what: str) -> tuple[list[Array], Structure]:
    """Return what a function returned as arrays and the structure of its tree, or raise where there is nothing in it."""
    if result is None:
        as_array(result, what)
    leaves, structure = flatten(result)
    return [as_array(y, what) for y in leaves], structure


def check_differentiable(y: Any, what: str, xs: Any = ()) -> None:
    """Raise where a result has no derivative, or no Jacobian by the arguments in a tree ``xs``."""
    if not dtypes.is_inexact(y.dtype):
        raise DTypeError(f"{what}: the function returned dtype {y.dtype}, which has no derivative")
    if y.dtype.kind == "c" and Variables(xs, what).holds_complex():
        raise DTypeError(
            f"{what}: a complex result ({y.dtype}) by a complex argument has four real derivatives an entry, not one: take the "
            f"Jacobians of its bprop.real and bprop.imag, or of a holomorphic function f'(z) x_dot by bprop.jvp(f, (z,), (x_dot,))"
        )


def as_scalar(result: Any, what: str) -> Array:
    """Return what a function returned as a scalar with a derivative, or raise: a gradient is that of one number."""
    y = as_array(result, what)
    if y.shape == () and y.dtype.kind == "f":
        return y
    if y.shape != ():
        raise ShapeError(
            f"{what}: the function returned shape {y.shape}, not a scalar: reduce it (bprop.sum, bprop.mean), or use "
            f"bprop.jacobian or bprop.vjp"
        )
    check_differentiable(y, what)
    if y.dtype.kind == "c":
        raise DTypeError(
            f"{what}: the function returned a complex number ({y.dtype}), which has no gradient: return its real part, "
            f"bprop.real(y), or take bprop.vjp or bprop.jvp"
        )
    return y


__all__ = [
    "Argnums",
    "Function",
    "TreeValues",
    "Variables",
    "argument_name",
    "as_array",
    "as_arrays",
    "as_scalar",
    "both_forms",
    "check_differentiable",
    "leaf_label",
    "lowered",
    "name_of",
    "parameter_name",
    "positions",
    "refuse_arguments",
    "refuse_complex",
    "variable",
]
