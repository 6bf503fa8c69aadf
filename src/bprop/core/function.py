"""Public functions by name, and which of them stands for which NumPy function.

`Array` finds its operators and methods here, and NumPy's functions, called on an `Array`, are sent here, so that NumPy
code differentiates unchanged. `bprop.ops` fills the tables; no op's name appears in this file.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import numpy as np

from .error import NumPyFunctionError

F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""Public functions by name; `bprop.ops` fills it, and the operators and methods of `Array` look here."""

NUMPY: dict[Any, Callable[..., Any]] = {}
"""NumPy function -> bprop function, so that NumPy code differentiates unchanged; filled by `bprop.ops`."""


def function(*numpy_functions: Any, namespace: str = "") -> Callable[[F], F]:
    """Decorate a public function: `Array` methods find it by name, and NumPy's functions dispatch to it.

    ``namespace``: where it is found, if not in `bprop` itself: ``"linalg"``.
    """

    def register(public: F) -> F:
        FUNCTIONS[f"{namespace}.{public.__name__}" if namespace else public.__name__] = public
        for one in numpy_functions:
            NUMPY[one] = public
        return public

    return register


def publish(*ops: Any) -> None:
    """Make ops public under their names; NumPy's functions of these names, if there are any, dispatch to them."""
    for op in ops:
        FUNCTIONS[op.name] = op
        if hasattr(np, op.name):
            NUMPY[getattr(np, op.name)] = op


# --- NumPy code, unchanged ---
def apply_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """Apply the bprop function that stands for a NumPy ufunc, or raise naming near ones."""
    rule = NUMPY.get(ufunc)
    name = f"numpy.{ufunc.__name__}"
    if method != "__call__":
        raise NumPyFunctionError(
            f"{name}.{method} has no bprop rule: write the loop or use a reduction such as bprop.sum"
        )
    if rule is None:
        raise NumPyFunctionError(_without_rule(name, ufunc.__name__))
    given = [one for value in options.values() for one in (value if type(value) is tuple else (value,))]
    if any(one is not None for one in given):  # out=(array,) comes as a tuple
        raise NumPyFunctionError(
            f"{name}: options {sorted(options)} are not supported on bprop arrays (they are immutable and typed): "
            f"call bprop.{rule.__name__ if hasattr(rule, '__name__') else ufunc.__name__} without them"
        )
    return rule(*inputs)


def apply_function(func: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """Apply the bprop function that stands for another NumPy function, with its options by NumPy's names."""
    rule = NUMPY.get(func)
    name = f"{getattr(func, '__module__', None) or 'numpy'}.{func.__name__}"
    if rule is None:
        raise NumPyFunctionError(_without_rule(name, func.__name__))
    theirs, operands, ours = _parameters(func, rule)
    if operands is not None:
        # by NumPy's names, since its positions differ: the third of numpy.sum is dtype, ours keepdims
        options = dict(zip(theirs, args, strict=False)) | options
        args = [options.pop(key) for key in [*theirs][:operands] if key in options]
    refused = [key for key, value in options.items() if key not in ours and not _is_default(value, theirs.get(key))]
    if refused:
        raise NumPyFunctionError(f"{name}: options {refused} are not supported on bprop arrays: call it without them")
    return rule(*args, **{key: value for key, value in options.items() if key in ours})


@cache
def _parameters(func: Any, rule: Any) -> tuple[dict[str, Any], int | None, frozenset[str]]:
    """Return NumPy's parameters with their defaults, how many the rule takes by position only (``None``: any number,
    or NumPy does not name its own),
    and the names of its options.
    """
    parameters = inspect.signature(rule).parameters.values()
    try:
        theirs = {one.name: one.default for one in inspect.signature(func).parameters.values()}
    except ValueError:  # written in C
        theirs = {}
    ours = frozenset(one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY))
    if any(one.kind == one.VAR_KEYWORD for one in parameters):
        ours = frozenset(theirs)
    if not theirs or any(one.kind == one.VAR_POSITIONAL for one in parameters):
        return theirs, None, ours
    return theirs, len([one for one in parameters if one.kind == one.POSITIONAL_ONLY]), ours


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, str) and value == default)


def _without_rule(full: str, name: str) -> str:
    import difflib  # only on the way to an error

    full_names = {n.rpartition(".")[2]: n for n in FUNCTIONS if not n.startswith("_")}
    near = difflib.get_close_matches(name, full_names, n=3, cutoff=0.6)
    hint = f"near names with one: {', '.join('bprop.' + full_names[n] for n in near)}; " if near else ""
    return (
        f"{full} has no bprop rule: {hint}write it with functions that have one, give its derivative with bprop.custom, "
        f"or call it on numbers outside the function being differentiated (numpy.asarray(x))"
    )
