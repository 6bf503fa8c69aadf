"""NumPy's functions and ufuncs, SciPy's included, called on an `Array`.

One with a rule is the bprop function that stands for it. One without sees an array that carries no derivative as a
read-only NumPy array, and returns what NumPy returns. Inside a transform it sees the numbers if it has no derivative
anyway (`NONDIFFERENTIABLE`), and is refused if it would cut one.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np

from .array_argument import with_arrays
from .assignment import rewrite
from .error import ArgumentError, NumPyFunctionError, user_called
from .function import AS_NUMPY, FUNCTIONS, NAMESPACES, NUMPY, SCIPY, TRACED, UFUNC_METHODS, declare_all, declared
from .method import Methods
from .nondifferentiable import EFFECTS, IN_PLACE, INSTEAD, NONDIFFERENTIABLE, OF_SHAPE_AND_DTYPE


class Call:
    """One call of NumPy: ``function`` with arguments among which are arrays of bprop.

    ``name`` is how messages call it, ``rule`` what stands for it, ``array`` makes an `Array` of a NumPy array.
    """

    def __init__(self, function: Any, name: str, args: Sequence[Any], options: dict[str, Any], array: Any) -> None:
        self.function = function
        self.name = name
        self.args = args
        self.options = options
        self.array = array
        self.leaves: list[Any] = []
        _collect((args, options), self.leaves)

    def refuse_writing(self, into: Any) -> None:
        """Raise where ``into``, which the call writes into, is an array of bprop."""
        for output in into if isinstance(into, tuple) else (into,):
            if isinstance(output, Methods):
                called = user_called()  # numpy.percentile of a list computes in an array of its own
                if called and called != self.name:
                    raise NumPyFunctionError(
                        f"{called} would write what has a derivative into an array of its own: write {replacement(called)}"
                    )
                instead = INSTEAD.get(self.name.removeprefix("numpy."), "without out=")
                raise ArgumentError(
                    f"{self.name} would write into a bprop array, which never changes: give it a NumPy array, or take the "
                    f"result instead ({instead}): {rewrite()}".removesuffix(": ")
                )

    def passed_through(self) -> Any:
        """Return the result of a function that has no derivative: NumPy's, or where there are no numbers that of its rule."""
        rule = declared(TRACED, self.function)
        if rule is not None and any(hasattr(leaf, "owner") and leaf.concrete() is None for leaf in self.leaves):
            return rule(*self.args, **self.options)
        return self.on_numbers(None)

    def on_numbers(self, refusal: Callable[[bool], Exception] | None) -> Any:
        """Call NumPy with the numbers.

        ``refusal`` makes the error where that would cut a derivative, if it can; it is told whether there are no numbers.
        """
        wrapped = [leaf for leaf in self.leaves if hasattr(leaf, "owner")]
        if not wrapped:
            return self._called(*(leaf.__array__() for leaf in self.leaves))
        if refusal is not None and (self._writes() or any(map(_carries_derivative, wrapped))):
            raise refusal(any(leaf.concrete() is None for leaf in wrapped))
        if self.function in EFFECTS:
            for leaf in wrapped:
                if not leaf.decides():  # another number for every entry of a batch
                    leaf.numbers(self.name)
        outermost = max((leaf.owner for leaf in wrapped), key=_depth)
        return outermost.look(self.name, self._called, self.leaves)

    def on_shapes(self) -> Any:
        """Call NumPy with arrays of the same shapes and dtypes, without the numbers of values under a transform."""
        stand_ins = {
            id(leaf): np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)
            if hasattr(leaf, "owner")
            else leaf.__array__()
            for leaf in self.leaves
        }
        return self._called(*(stand_ins[id(leaf)] for leaf in self.leaves))

    def _writes(self) -> bool:
        in_place = self.function in IN_PLACE or self.name.endswith(".at")
        return in_place or self.options.get("out") is not None

    def _called(self, *numbers: Any) -> Any:
        """Call NumPy with ``numbers`` in the places of the arrays of bprop."""
        args, options = _replaced((self.args, self.options), iter(numbers))
        return self.function(*args, **options)

    def as_arrays(self, y: Any) -> Any:
        """Return NumPy's result as functions with a rule return theirs, unless it is what was given to be filled."""
        if self._writes():
            return y
        if isinstance(y, tuple):
            parts = [self.as_arrays(entry) for entry in y]
            return type(y)(*parts) if hasattr(y, "_fields") else tuple(parts)
        return self.array(np.asarray(y)) if isinstance(y, np.ndarray | np.generic) and y.dtype.kind in "biufc" else y


def apply_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], options: dict[str, Any], array: Any) -> Any:
    """Apply the bprop function that stands for a ufunc, or the ufunc to the numbers, or raise naming what to write."""
    module, name = _home(ufunc)
    rule = declared(NUMPY, ufunc) if module == "numpy" else declared(SCIPY, name) if module == "scipy.special" else None
    full = f"{module}.{name}" if module else f"the ufunc {name}"
    called_name = full if method == "__call__" else f"{full}.{method}"
    of_method = declared(UFUNC_METHODS, method) if rule is not None else None
    if of_method is not None:
        y = of_method(ufunc, called_name, rule, inputs, options)
        if y is not NotImplemented:
            return y
    call = Call(getattr(ufunc, method), called_name, inputs, options, array)
    call.refuse_writing(inputs[0] if method == "at" else options.get("out"))

    def refusal(traced: bool) -> Exception:
        if method == "at":
            return _writing_refused(called_name)
        # out=(array,) comes as a tuple
        set_options = {
            key
            for key, value in options.items()
            for argument in (value if type(value) is tuple else (value,))
            if argument is not None
        }
        return (
            _options_refused(called_name, sorted(set_options))
            if rule is not None
            else _without_rule(called_name, traced)
        )

    y = call.on_numbers(refusal)
    return call.as_arrays(y) if rule is not None and method == "__call__" else y


def apply_function(func: Any, args: Sequence[Any], options: dict[str, Any], array: Any) -> Any:
    """Apply the bprop function that stands for another NumPy function, with its options by NumPy's names.

    Without one, or with options that it does not take, apply it to the numbers, or raise naming what to write.
    """
    direct = _DIRECT.get(func)
    if direct is not None and len(args) <= direct[1] and options.keys() <= direct[2]:
        return direct[0](*args, **options)
    name = f"{getattr(func, '__module__', None) or 'numpy'}.{func.__name__}"
    if func in OF_SHAPE_AND_DTYPE:
        return Call(func, name, args, options, array).on_shapes()
    if func in NONDIFFERENTIABLE:
        return Call(func, name, args, options, array).passed_through()
    rule = declared(NUMPY, func)
    refused: list[str] = []
    if rule in AS_NUMPY:
        if not _fills(rule, args, options):
            position, names = _position_of_out(rule)
            _DIRECT[func] = rule, sys.maxsize if position is None else position, names
            return rule(*args, **options)
        refused, (args, options) = ["out"], _with_out_by_name(rule, args, options)
    elif rule is not None:
        _, operands, names = _parameters(func, rule)
        _DIRECT[func] = rule, sys.maxsize if operands is None else operands, names
        positional, ours, refused = _translated(func, rule, args, options)
        if not refused:
            return rule(*positional, **ours)
    call = Call(func, name, args, options, array)
    call.refuse_writing(args[0] if func in IN_PLACE and args else options.get("out"))

    def refusal(traced: bool) -> Exception:
        if func in IN_PLACE:
            return _writing_refused(name)
        return _options_refused(name, refused) if rule is not None else _without_rule(name, traced)

    y = call.on_numbers(refusal)
    return call.as_arrays(y) if rule is not None else y


# --- options ---
_DIRECT: dict[Any, tuple[Callable[..., Any], int, frozenset[str]]] = {}
"""NumPy function -> its rule, how many positions mean the same in both, and names of options that do; filled by the calls."""


def _fills(rule: Any, args: Sequence[Any], options: dict[str, Any]) -> bool:
    """Return whether the call of a function whose parameters are NumPy's gives an array to be filled."""
    position, _ = _position_of_out(rule)
    out = args[position] if position is not None and len(args) > position else options.get("out")
    return out is not None


def _with_out_by_name(rule: Any, args: Sequence[Any], options: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return the arguments with the array to be filled, and those behind it, by their names."""
    position, _ = _position_of_out(rule)
    if position is None:
        return args, options
    names = rule.__code__.co_varnames[position : rule.__code__.co_argcount]
    return args[:position], dict(zip(names, args[position:], strict=False)) | options


@cache
def _position_of_out(rule: Any) -> tuple[int | None, frozenset[str]]:
    """Return where a rule takes an array to be filled, and the names of its other parameters."""
    code = rule.__code__
    names = code.co_varnames[: code.co_argcount]
    others = frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]) - {"out"}
    return names.index("out") if "out" in names else None, others


def _translated(func: Any, rule: Any, args: Sequence[Any], options: dict[str, Any]) -> tuple[Any, Any, list[str]]:
    """Return the arguments and options for the rule, and the options that it does not take."""
    theirs, operands, ours = _parameters(func, rule)
    if operands is not None:
        # by NumPy's names, since its positions differ: the third of numpy.sum is dtype, ours keepdims
        options = dict(zip(theirs, args, strict=False)) | options
        args = [options.pop(key) for key in [*theirs][:operands] if key in options]
    refused = [key for key, value in options.items() if key not in ours and not _is_default(value, theirs.get(key))]
    return args, {key: value for key, value in options.items() if key in ours}, refused


@cache
def _parameters(func: Any, rule: Any) -> tuple[dict[str, Any], int | None, frozenset[str]]:
    """Return NumPy's parameters with their defaults, how many the rule takes by position only (``None``: any number,
    or NumPy does not name its own),
    and the names of its options.
    """
    parameters = inspect.signature(rule).parameters.values()
    try:
        theirs = {parameter.name: parameter.default for parameter in inspect.signature(func).parameters.values()}
    except ValueError:  # written in C
        theirs = {}
    ours = frozenset(
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    )
    if any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
        ours = frozenset(theirs)
    if not theirs or any(parameter.kind == parameter.VAR_POSITIONAL for parameter in parameters):
        return theirs, None, ours
    return theirs, len([parameter for parameter in parameters if parameter.kind == parameter.POSITIONAL_ONLY]), ours


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, str) and value == default)


# --- the arrays among the arguments ---
def _collect(part: Any, leaves: list[Any]) -> None:
    if isinstance(part, Methods):
        leaves.append(part)
    elif isinstance(part, list | tuple):
        for entry in part:
            _collect(entry, leaves)
    elif isinstance(part, dict):
        for entry in part.values():
            _collect(entry, leaves)


def _replaced(part: Any, numbers: Any) -> Any:
    """Return ``part`` with the next of ``numbers`` in the place of every array of bprop."""
    if isinstance(part, Methods):
        return next(numbers)
    if isinstance(part, tuple) and hasattr(part, "_fields"):
        return type(part)(*(_replaced(entry, numbers) for entry in part))
    if isinstance(part, list | tuple):
        return type(part)([_replaced(entry, numbers) for entry in part])
    if isinstance(part, dict):
        return {key: _replaced(entry, numbers) for key, entry in part.items()}
    return part


def _carries_derivative(value: Any) -> bool:
    """Return whether a transform that differentiates may ask for the derivative of ``value``."""
    while hasattr(value, "owner"):
        if value.owner.differentiates:
            return True
        value = value.value
    return False


def _depth(interpreter: Any) -> int:
    depth = 0
    while interpreter.below is not interpreter:
        interpreter, depth = interpreter.below, depth + 1
    return depth


# --- messages ---
def _home(ufunc: Any) -> tuple[str, str]:
    """Return the module where a ufunc is found, "" if neither NumPy nor SciPy has it, and its name."""
    name = ufunc.__name__
    for module in ("numpy", "scipy.special", "scipy.special._ufuncs"):
        if getattr(sys.modules.get(module), name, None) is ufunc:
            return module.removesuffix("._ufuncs"), name
    return "", name


def _options_refused(name: str, options: list[str]) -> NumPyFunctionError:
    instead = rewrite() if "out" in options else ""
    if instead:
        return NumPyFunctionError(
            f"{name} would write what has a derivative into an array (out=), and arrays do not change under differentiation: "
            + instead
        )
    return NumPyFunctionError(
        f"{name}: options {options} are not supported on values under a transform (they are immutable and typed): "
        "call it without them"
    )


def _writing_refused(name: str) -> NumPyFunctionError:
    called = user_called()  # numpy.full copies into what it makes
    if called:
        instead = replacement(called)
        return NumPyFunctionError(
            f"{called} of a value under a transform makes an array of numbers of it, which have no derivative"
            + (f": write {instead}" if instead else "")
        )
    instead = rewrite() or f"write {INSTEAD.get(name.removeprefix('numpy.'), 'x = x.at[index].add(v)')}"
    return NumPyFunctionError(
        f"{name} would write what has a derivative into an array, and arrays do not change under differentiation: {instead}"
    )


def _without_rule(full: str, traced: bool) -> NumPyFunctionError:
    full = user_called() or full  # scipy.special.lambertw, whose ufunc is private
    instead = replacement(full)
    return NumPyFunctionError(
        f"{full} has no bprop rule and would cut the derivative: {f'write {instead}, or ' if instead else ''}write it with "
        f"functions that have one, or give its derivative with bprop.custom; where none is meant, "
        + ("call it in f of bprop.callback(f, x, result=…)" if traced else "call it on bprop.stop_gradient(x)")
    )


def replacement(full: str) -> str:
    """Return what does the same as a function of NumPy or SciPy and has a derivative, or ""."""
    package, _, name = full.partition(".")
    declare_all()
    if package == "numpy" and attrgetter(name)(np) in NUMPY:
        # there it does not find its rule
        return with_arrays(full) or f"{full}(bprop.asarray(values)) for a list of values or an array of objects"
    if package == "numpy":
        return INSTEAD.get(name) or (f"bprop.{name}" if name in FUNCTIONS else "")
    if package == "scipy" and name.startswith("fft.") and name in FUNCTIONS:
        return f"bprop.{name}"
    if name.startswith("optimize."):  # a solver: its result has no derivative there, either
        return ""
    own = NAMESPACES[package]() if package in NAMESPACES else None
    for part in name.split("."):
        own = getattr(own, part, None)
    arguments = getattr(getattr(own, "__self__", None), "signature", "")  # of a distribution, those of its methods
    return f"bprop.{full}{arguments}" if own is not None else ""
