"""The two lines to write for an assignment into an array, in the words of the user's own line.

Arrays do not change, so ``r[1:-1] = x`` is ``r = r.at[1:-1].set(x)``, and ``r`` begins as an array of bprop. The names and
the index come from the source (`ast`), the place in it from the frame. Looked at only when an error is being made.
"""

import ast
import linecache
from functools import cache
from types import CodeType
from typing import Any

from .error import user_frame
from .function import FUNCTIONS

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
    path = _path(frame.f_code, frame.f_lasti) if frame is not None else []
    position = next((n for n in reversed(range(len(path))) if isinstance(path[n], ast.stmt)), None)
    if frame is None or position is None:
        return ""
    written = _written(path[position:], path[position], frame.f_locals)
    if written is None:
        return ""
    target, line = written
    around = path[:position]
    reads = target in line.partition(" = ")[2]
    beginning = _beginning(target, around, path[position]) if reads else ""
    text = f"write\n      {beginning}\n      {line}" if beginning else f"write\n      {line}"
    if any(isinstance(node, ast.For | ast.While) for node in _inside_function(around)) and ").set(" in line.replace(
        "]", ")"
    ):
        value = line.partition("].set(")[2][:-1]
        index = line.partition(".at[")[2].partition("].set(")[0]
        if index.endswith(" + 1"):  # y[i + 1] = f(y[i])
            value = value.replace(f"{target}[{index.removesuffix(' + 1')}]", "values[-1]")
        text += (
            "\n    or, where the loop fills it, collect the values in a list and join them once behind the loop\n      "
        )
        text += f"values.append({value})\n      {target} = numpy.stack(values)"
    return text


def fresh_output() -> bool:
    """Return whether the call at the user's line is given an array to fill that is made there, and its result is used.

    ``y = numpy.divide(a, b, out=numpy.zeros_like(a), where=b != 0)``: nobody else sees the array that is filled.
    """
    frame = user_frame()
    return frame is not None and _fresh_output(frame.f_code, frame.f_lasti)


@cache
def _fresh_output(code: CodeType, instruction: int) -> bool:
    path = _path(code, instruction)
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
def _path(code: CodeType, instruction: int) -> list[ast.AST]:
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


def _written(path: list[ast.AST], statement: Any, names: dict[str, Any]) -> tuple[str, str] | None:
    """Return the name of the array that a statement writes into, and the line to write for it."""
    if isinstance(statement, ast.Assign | ast.AugAssign):
        element = next((node for node in path if isinstance(node, ast.Subscript)), None)
        if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Subscript) and len(path) == 1:
            element = statement.target  # r[1:] += x is r[1:] = add(r[1:], x, out=r[1:])
        if element is not None and element in _targets(statement):
            return _of_element(element, statement, names)
        if isinstance(statement, ast.AugAssign) and len(path) == 1:
            target = ast.unparse(statement.target)
            operation = ast.BinOp(statement.target, statement.op, statement.value)
            return target, f"{target} = {_shown(operation)}"
    call = next((node for node in reversed(path) if isinstance(node, ast.Call)), None)
    return None if call is None else _of_call(call)


def _targets(statement: ast.Assign | ast.AugAssign) -> list[ast.AST]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [
        node for target in targets for node in (target.elts if isinstance(target, ast.Tuple | ast.List) else [target])
    ]


def _of_element(
    element: ast.Subscript, statement: ast.Assign | ast.AugAssign, names: dict[str, Any]
) -> tuple[str, str] | None:
    """Return what `_written` does for ``r[i] = x`` and ``r[i] += x``; of ``r[i][j]`` both indices are one."""
    base: ast.expr = element.value
    indices = [element.slice]
    while isinstance(base, ast.Subscript) and not isinstance(base.slice, ast.Slice | ast.Tuple):
        indices.insert(0, base.slice)
        base = base.value
    if isinstance(base, ast.Name) and isinstance(names.get(base.id), list | dict):  # it holds the array
        base, indices = element.value, [element.slice]
    elif not isinstance(base, ast.Name | ast.Attribute) or getattr(base, "attr", "") in ("T", "mT", "flat"):
        return None
    target, index = ast.unparse(base), ", ".join(map(_index, indices))
    update = _UPDATES.get(type(statement.op)) if isinstance(statement, ast.AugAssign) else "set({})"
    if update is None:
        return None
    return target, f"{target} = {target}.at[{index}].{_filled(update, _value(statement, element))}"


def _index(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text[1:-1] if isinstance(node, ast.Tuple) and text.startswith("(") and len(node.elts) > 1 else text


def _value(statement: Any, element: ast.AST) -> ast.expr:
    """Return what is assigned to an element, a stand-in where several are and it cannot be told."""
    value: ast.expr = statement.value
    targets = statement.targets[0] if isinstance(statement, ast.Assign) else None
    if not isinstance(targets, ast.Tuple | ast.List):
        return value
    several = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(targets.elts)
    return value.elts[targets.elts.index(element)] if several else ast.Name("value")  # type: ignore[attr-defined, arg-type]


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
        target = ast.unparse(options["out"])
        return (
            target,
            f"{target} = {_shown(ast.Call(function, call.args, [o for o in call.keywords if o.arg != 'out']))}",
        )
    if function.attr == "at" and isinstance(function.value, ast.Attribute) and len(arguments) == 3:
        method = _METHODS.get(function.value.attr)
        line = method and f"{arguments[0]} = {arguments[0]}.at[{_index(call.args[1])}].{_filled(method, call.args[2])}"
        return (arguments[0], line) if line else None
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
    if not target.isidentifier():
        return ""
    functions = [node for node in around if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module)]
    assignments = [
        node.value
        for node in ast.walk(functions[-1])
        if isinstance(node, ast.Assign)
        and (node.lineno, node.col_offset) < (statement.lineno, statement.col_offset)
        and any(isinstance(name, ast.Name) and name.id == target for name in node.targets)
    ]
    if not assignments:
        return f"{target} = bprop.asarray({target})"
    value = assignments[-1]
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and isinstance(value.func.value, ast.Name):
        name = _CREATIONS.get(value.func.attr, value.func.attr)
        module = value.func.value.id
        if (
            module in ("np", "numpy", "bprop")
            and FUNCTIONS.get(name) is not None
            and name.partition("_")[0] in _BEGINNINGS
        ):
            return f"{target} = {_shown(ast.Call(ast.Attribute(ast.Name('bprop'), name), value.args, value.keywords))}"
    return f"{target} = bprop.asarray({_shown(value)})"


ASSIGNED = (
    "write a = a.at[i].set(x) for a[i] = x, with a from bprop.zeros(shape) or bprop.asarray(a), or put the values together with "
    "bprop.stack([x, y])"
)
"""What to write where the source is not seen."""

_BEGINNINGS = ("zeros", "ones", "full", "asarray", "arange", "linspace")

__all__ = ["ASSIGNED", "fresh_output", "rewrite"]
