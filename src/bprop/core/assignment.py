"""The two lines to write for an assignment into an array, in the words of the user's own line.

Arrays do not change, so ``r[1:-1] = x`` is ``r = r.at[1:-1].set(x)``, and ``r`` begins as an array of bprop. The names and
the index come from the source (`ast`), the place in it from the frame. Looked at only when an error is being made.
"""

import ast
import builtins
import linecache
from collections import ChainMap
from collections.abc import Mapping
from functools import cache
from types import CodeType
from typing import Any

import numpy as np

from .error import user_frame
from .function import FUNCTIONS, declared

LONGEST = 60
"""Characters of a value that are shown."""

_UPDATES = {ast.Add: "add({})", ast.Sub: "add(-{})", ast.Mult: "multiply({})", ast.Div: "multiply(1 / {})"}
"""What ``r[i] += x`` and the like are as methods of ``r.at[i]``."""

_METHODS = {"add": "add({})", "subtract": "add(-{})", "multiply": "multiply({})", "divide": "multiply(1 / {})"}
"""What ``numpy.add.at(r, i, x)`` and the like are."""

_WRITERS = {
    "copyto": "{0} = bprop.broadcast_to({1}, {0}.shape)",
    "fill_diagonal": "{0} = bprop.where(numpy.eye(*{0}.shape, dtype=bool), {1}, {0})",
    "place": "{0} = {0}.at[{1}].set({2})",
    "put": "{0} = {0}.reshape(-1).at[{1}].set({2}).reshape({0}.shape)",
    "putmask": "{0} = bprop.where({1}, {2}, {0})",
}
"""What functions of NumPy that write into their first argument are, by their arguments."""

_CREATIONS = {"empty": "zeros", "empty_like": "zeros_like"}


def rewrite() -> str:
    """Return what to write for the assignment at the user's line, as a sentence with lines of code, "" where none is seen."""
    frame = user_frame()
    path = path_to(frame.f_code, frame.f_lasti) if frame is not None else []
    position = next((n for n in reversed(range(len(path))) if isinstance(path[n], ast.stmt)), None)
    if frame is None or position is None:
        return ""
    names = ChainMap(frame.f_locals, frame.f_globals)
    around, statement = path[:position], path[position]
    lines = _written(path[position:], statement, names)
    targets = dict.fromkeys(target for target, line in lines if target and target in line.partition(" = ")[2])
    beginnings = [beginning for target in targets if (beginning := _beginning(target, around, statement))]
    if not lines:
        return ""
    text = "write" + "".join(f"\n      {line}" for line in [*beginnings, *(line for _, line in lines)])
    in_loop = any(isinstance(node, ast.For | ast.While) for node in _inside_function(around))
    return text + (_collected(*lines[0]) if in_loop and len(lines) == 1 and "].set(" in lines[0][1] else "")


def _collected(target: str, line: str) -> str:
    """Return the lines for a loop that fills an array entry by entry."""
    value = line.partition("].set(")[2][:-1]
    index = line.partition(".at[")[2].partition("].set(")[0]
    if index.endswith(" + 1"):  # y[i + 1] = f(y[i])
        value = value.replace(f"{target}[{index.removesuffix(' + 1')}]", "values[-1]")
    return (
        "\n    or, where the loop fills it, collect the values in a list and join them once behind the loop\n      "
        f"values.append({value})\n      {target} = numpy.stack(values)"
    )


def conversion() -> str:
    """Return what to write for ``numpy.asarray(x, dtype)`` and its like at the user's line, "" where it is not seen."""
    frame = user_frame()
    path = path_to(frame.f_code, frame.f_lasti) if frame is not None else []
    call = next((node for node in reversed(path) if isinstance(node, ast.Call)), None)
    if call is None or getattr(call.func, "attr", "") not in CONVERSIONS or not call.args:
        return ""
    dtypes = [*call.args[1:2], *(option.value for option in call.keywords if option.arg == "dtype")]
    options = [ast.keyword("dtype", dtype) for dtype in dtypes]
    return ast.unparse(ast.Call(ast.Name("bprop.asarray"), call.args[:1], options))


def native_call() -> tuple[str, str]:
    """Return the function in C that the user's line calls, as it is written there, and what to write instead, "" if nothing.

    ``math.exp(x)`` and ``random.normal(x)`` ask for a number and have no frame of their own. Conversions are no such function.
    """
    frame = user_frame()
    path = path_to(frame.f_code, frame.f_lasti) if frame is not None else []
    call = path[-1] if path else None
    if frame is None or not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name | ast.Attribute):
        return "", ""
    function = looked_up(call.func, ChainMap(frame.f_locals, frame.f_globals, vars(builtins)))
    name = getattr(call.func, "attr", "") or getattr(call.func, "id", "")
    if isinstance(function, type) or name in (*CONVERSIONS, "astype", "fill", "fromiter"):
        return "", ""
    module = getattr(function, "__module__", None)
    instead = ""
    if module in ("math", "cmath"):
        home, instead = _OF_MATH.get(name, ("numpy", name if hasattr(np, name) else ""))
        arguments = ", ".join(map(_shown, call.args))
        instead = instead and f"{home}.{instead}({arguments})"
        if name == "log" and len(call.args) == 2:
            instead = "numpy.log({}) / numpy.log({})".format(*map(_shown, call.args))
    elif module == "builtins" and name in _OF_BUILTINS and call.args and not call.keywords:
        of_several, of_one = _OF_BUILTINS[name]
        first, *others = map(_shown, call.args)
        instead = f"{of_several}({first}, {others[0]})" if len(others) == 1 else ""
        instead = instead if others else f"{of_one}(bprop.asarray({first}))"
    return ast.unparse(call.func), instead


_OF_MATH = {
    "erf": ("bprop.scipy.special", "erf"),
    "erfc": ("bprop.scipy.special", "erfc"),
    "fsum": ("numpy", "sum"),
    "gamma": ("bprop.scipy.special", "gamma"),
    "lgamma": ("bprop.scipy.special", "gammaln"),
}
"""Functions of Python's math that NumPy calls otherwise, or has not."""

_OF_BUILTINS = {
    "max": ("numpy.maximum", "numpy.max"),
    "min": ("numpy.minimum", "numpy.min"),
    "sorted": ("", "numpy.sort"),
}
"""Functions of Python that compare numbers: what they are of two values, and of a list of them."""

CONVERSIONS = ("array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray")
"""NumPy's functions that make an array of what they are given."""


def fresh_output() -> bool:
    """Return whether the call at the user's line is given an array to fill that is made there, and its result is used.

    ``y = numpy.divide(a, b, out=numpy.zeros_like(a), where=b != 0)``: nobody else sees the array that is filled.
    """
    frame = user_frame()
    return frame is not None and _fresh_output(frame.f_code, frame.f_lasti)


@cache
def _fresh_output(code: CodeType, instruction: int) -> bool:
    path = path_to(code, instruction)
    call = next((node for node in reversed(path) if isinstance(node, ast.Call)), None)
    if call is None or isinstance(path[path.index(call) - 1], ast.Expr):
        return False
    outputs = [option.value for option in call.keywords if option.arg == "out"]
    return any(isinstance(x, ast.Call) and getattr(x.func, "attr", "") in _MAKES_AN_ARRAY for x in outputs)


_MAKES_AN_ARRAY = frozenset(
    [
        "array",
        "copy",
        "empty",
        "empty_like",
        "full",
        "full_like",
        "ones",
        "ones_like",
        "zeros",
        "zeros_like",
    ]  # another may return one that is seen
)


# --- the user's statement ---
def path_to(code: CodeType, instruction: int) -> list[ast.AST]:
    """Return the nodes of the source around an instruction, outermost first; none without source."""
    start, end, column, end_column = list(code.co_positions())[instruction // 2]
    source = "".join(linecache.getlines(code.co_filename))
    if start is None or end is None or column is None or end_column is None or not source:
        return []
    try:
        node: ast.AST | None = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    path: list[ast.AST] = []
    while node is not None:
        path.append(node)
        node = next(
            (child for child in ast.iter_child_nodes(node) if _covers(child, start, column, end, end_column)), None
        )
    return path


def _covers(node: Any, start: int, column: int, end: int, end_column: int) -> bool:
    if not hasattr(node, "lineno"):
        return False
    return (node.lineno, node.col_offset) <= (start, column) and (node.end_lineno, node.end_col_offset) >= (
        end,
        end_column,
    )


def _inside_function(path: list[ast.AST]) -> list[ast.AST]:
    """Return the nodes of a path that are inside its innermost function."""
    functions = [
        n for n, node in enumerate(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    ]
    return path[functions[-1] + 1 :] if functions else path


def _written(path: list[ast.AST], statement: Any, names: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the lines to write for a statement, each with the name of the array that it writes into."""
    if isinstance(statement, ast.Assign | ast.AugAssign):
        element = next((node for node in path if isinstance(node, ast.Subscript)), None)
        if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Subscript) and len(path) == 1:
            element = statement.target  # r[1:] += x is r[1:] = add(r[1:], x, out=r[1:])
        if element is not None and element in _targets(statement):
            if isinstance(statement, ast.Assign) and len(_targets(statement)) > 1:
                return _of_targets(statement, names)
            written = _of_element(element, statement, statement.value, names)
            return [] if written is None else [written]
        if isinstance(statement, ast.AugAssign) and len(path) == 1:
            target = ast.unparse(statement.target)
            operation = ast.BinOp(statement.target, statement.op, statement.value)
            return [(target, f"{target} = {_shown(operation)}")]
    call = next((node for node in reversed(path) if isinstance(node, ast.Call)), None)
    written = None if call is None else _of_call(call)
    return [] if written is None else [written]


def _entries(target: ast.AST) -> list[Any]:
    return list(target.elts) if isinstance(target, ast.Tuple | ast.List) else [target]


def _targets(statement: ast.Assign | ast.AugAssign) -> list[ast.AST]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [node for target in targets for node in _entries(target)]


def _of_targets(statement: ast.Assign, names: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the lines for ``a[i] = b[j] = x`` and ``a[i], b[j] = x, y``: first the values, where an earlier line would change them."""
    targets = _targets(statement)
    pairs = [pair for target in statement.targets for pair in _with_values(target, statement.value)]
    changed = {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    read = {node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)}
    name = "values" if isinstance(statement.targets[0], ast.Tuple | ast.List) else "value"
    named = all(ast.unparse(value).partition("[")[0] == name for _, value in pairs)
    lines: list[tuple[str, str]] = []
    if named or changed & read or len(ast.unparse(statement.value)) > LONGEST:
        pairs = [pair for target in statement.targets for pair in _with_values(target, ast.Name(name))]
        lines = [("", f"{name} = {ast.unparse(statement.value)}")]
    for target, value in pairs:
        written = _of_element(target, statement, value, names) if isinstance(target, ast.Subscript) else None
        lines.append(written or ("", f"{ast.unparse(target)} = {ast.unparse(value)}"))
    return lines


def _with_values(target: ast.AST, value: ast.expr) -> list[tuple[Any, ast.expr]]:
    """Return each target of an assignment with its value, an entry of ``value`` where several are unpacked."""
    if not isinstance(target, ast.Tuple | ast.List):
        return [(target, value)]
    if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
        return list(zip(target.elts, value.elts, strict=True))
    base = value if isinstance(value, ast.Name) else ast.Name("values")
    return [(entry, ast.Subscript(base, ast.Constant(position))) for position, entry in enumerate(target.elts)]


def _of_element(
    element: ast.Subscript, statement: ast.Assign | ast.AugAssign, value: ast.expr, names: Mapping[str, Any]
) -> tuple[str, str] | None:
    """Return what `_written` does for ``r[i] = x`` and ``r[i] += x``; of ``r[i][j]`` both indices are one."""
    if isinstance(looked_up(element.value, names), list | dict):
        return None  # an entry of a list, not of an array
    base: ast.expr = element.value
    indices = [element.slice]
    while isinstance(base, ast.Subscript) and not isinstance(base.slice, ast.Slice | ast.Tuple):
        if isinstance(looked_up(base.value, names), list | dict):  # it holds the array
            break
        indices.insert(0, base.slice)
        base = base.value
    if not isinstance(base, ast.Name | ast.Attribute | ast.Subscript) or getattr(base, "attr", "") in _VIEWS:
        return None
    if isinstance(base, ast.Subscript) and isinstance(base.slice, ast.Slice | ast.Tuple):
        return None
    target, index = ast.unparse(base), ", ".join(map(_index, indices))
    update = _UPDATES.get(type(statement.op)) if isinstance(statement, ast.AugAssign) else "set({})"
    if update is None:
        return None
    return target, f"{target} = {target}.at[{index}].{_filled(update, value)}"


_VIEWS = ("T", "mT", "flat")
"""Attributes that are another array: to assign to one is no assignment to its array."""


def looked_up(node: ast.AST, names: Mapping[str, Any]) -> Any:
    """Return what an expression of names, attributes and constant indices is, without running the user's code; else ``None``."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(looked_up(node.value, names), "__dict__", {}).get(node.attr)
    if isinstance(node, ast.Subscript):
        holder = looked_up(node.value, names)
        key = node.slice.value if isinstance(node.slice, ast.Constant) else looked_up(node.slice, names)
        try:
            return holder[key] if type(holder) in (list, dict, tuple) else None
        except (LookupError, TypeError):
            return None
    return None


def _index(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text[1:-1] if isinstance(node, ast.Tuple) and text.startswith("(") and len(node.elts) > 1 else text


def _filled(update: str, value: ast.AST) -> str:
    text = _shown(value)
    simple = isinstance(value, ast.Name | ast.Attribute | ast.Subscript | ast.Call | ast.Constant)
    return update.format(text if simple or "({})" in update else f"({text})")


def _shown(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= LONGEST else "value"


def _of_call(call: ast.Call) -> tuple[str, str] | None:
    """Return what `_written` does for ``numpy.add(x, y, out=r)``, ``numpy.add.at(r, i, x)`` and ``numpy.copyto(r, x)``."""
    function, arguments = call.func, list(map(_shown, call.args))
    if not isinstance(function, ast.Attribute):
        return None
    options = {option.arg: option.value for option in call.keywords}
    if isinstance(options.get("out"), ast.Name | ast.Attribute):
        target, where = ast.unparse(options["out"]), options.get("where")
        computed = _shown(ast.Call(function, call.args, [o for o in call.keywords if o.arg not in ("out", "where")]))
        return target, f"{target} = " + (
            computed if where is None else f"bprop.where({ast.unparse(where)}, {computed}, {target})"
        )
    if function.attr == "at" and isinstance(function.value, ast.Attribute) and len(arguments) == 3:
        method = _METHODS.get(function.value.attr)
        line = method and f"{arguments[0]} = {arguments[0]}.at[{_index(call.args[1])}].{_filled(method, call.args[2])}"
        return (arguments[0], line) if line else None
    if function.attr == "fill" and len(arguments) == 1:
        target = ast.unparse(function.value)
        return target, f"{target} = {_WRITERS['copyto'].partition(' = ')[2].format(target, arguments[0])}"
    template = _WRITERS.get(function.attr)
    if template is None or len(arguments) < 2:
        return None
    if function.attr == "copyto" and "where" in options:
        template = f"{{0}} = bprop.where({ast.unparse(options['where'])}, {{1}}, {{0}})"
    try:
        return arguments[0], template.format(*arguments)
    except IndexError:
        return None


# --- how the array begins ---
def _beginning(target: str, around: list[ast.AST], statement: Any) -> str:
    """Return the line with which the array begins, made of the last one before the statement that assigns the name."""
    functions = [node for node in around if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module)]
    assignments = [
        node
        for node in ast.walk(functions[-1])
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and (node.lineno, node.col_offset) < (statement.lineno, statement.col_offset)
        and any(ast.unparse(name) == target for name, _ in _bindings(node))
    ]
    if not assignments:
        return f"{target} = bprop.asarray({target})"
    last = max(assignments, key=lambda node: (node.lineno, node.col_offset))
    value = next(value for name, value in _bindings(last) if ast.unparse(name) == target)
    if value is None:
        return f"{target} = bprop.asarray({target})"
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and isinstance(value.func.value, ast.Name):
        name = _CREATIONS.get(value.func.attr, value.func.attr)
        module = value.func.value.id
        if (
            module in ("np", "numpy", "bprop")
            and declared(FUNCTIONS, name) is not None
            and name.partition("_")[0] in _BEGINNINGS
        ):
            return f"{target} = {_shown(ast.Call(ast.Attribute(ast.Name('bprop'), name), value.args, value.keywords))}"
    return f"{target} = bprop.asarray({_shown(value)})"


def _bindings(node: ast.AST) -> list[tuple[ast.AST, ast.expr | None]]:
    """Return the targets of an assignment with their values, ``None`` for one that the source does not tell."""
    if isinstance(node, ast.AnnAssign):
        return [(node.target, node.value)]
    if not isinstance(node, ast.Assign):
        return []
    unpacked = isinstance(node.value, ast.Tuple | ast.List)
    return [
        (name, value if unpacked or name is target else None)
        for target in node.targets
        for name, value in _with_values(target, node.value)
    ]


ASSIGNED = (
    "write a = a.at[i].set(x) for a[i] = x, with a from bprop.zeros(shape) or bprop.asarray(a), or put the values together with "
    "bprop.stack([x, y])"
)
"""What to write where the source is not seen."""

_BEGINNINGS = ("zeros", "ones", "full", "asarray", "arange", "linspace")

__all__ = ["ASSIGNED", "CONVERSIONS", "conversion", "fresh_output", "looked_up", "path_to", "rewrite"]
