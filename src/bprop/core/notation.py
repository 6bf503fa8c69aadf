"""How one application is written, as text or as LaTeX: the op's template, and parentheses exactly where needed.

An op declares a template and a precedence; what each place of the template demands of its operand follows from the
template alone. An operand inside brackets, braces or a fraction needs nothing, one that stands open must bind tightly
enough: the right side of ``-`` and ``/`` and the left side of ``**`` more tightly than the op itself.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from math import isfinite, isnan
from string import Formatter
from typing import Any, Literal, NamedTuple

from .family import Bilinear, Elementwise, Linear, Reduction, Region
from .op import Op, Operand, shape_of

Style = Literal["text", "latex"]
SUM, PRODUCT, SIGN, POWER, CALL, ATOM = 1.0, 2.0, 3.0, 4.0, 9.0, 10.0
OPERATOR = 1.5  # \sum, \max: takes a product, but is bracketed inside one, since its end cannot be seen
FRACTION = 3.5  # delimits itself, except as the base of a power


class Written(NamedTuple):
    """An expression as written, how tightly it binds, and the op applied last (``None`` for a name or a number)."""

    text: str
    level: float = ATOM
    op: Op | None = None


class _Place(NamedTuple):
    """Where an operand stands in a template: inside delimiters, first, and with what right behind it."""

    operand: int
    enclosed: bool
    first: bool
    behind: str


_DELIMITER = re.compile(r"\\left.|\\right.|\\begin|\\end|\\[A-Za-z]+|[(\[{}\])]")
_OPENING = frozenset(["\\begin", "(", "[", "{"])
_CLOSING = frozenset(["\\end", ")", "]", "}"])


@lru_cache(maxsize=4096)
def _places(template: str) -> tuple[tuple[_Place, ...], str]:
    """Return the places of a template, and the literal text that stands outside of all delimiters."""
    parts = list(Formatter().parse(template))
    places: list[_Place] = []
    outside: list[str] = []
    depth = 0
    for position, (literal, field, _, _) in enumerate(parts):
        start = 0
        for token in _DELIMITER.finditer(literal):
            if depth == 0:
                outside.append(literal[start : token.start()])
            start = token.end()
            name = token.group()
            if name in _OPENING or (name.startswith("\\left") and name[5:].strip()):
                depth += 1
            elif name in _CLOSING or name.startswith("\\right"):
                depth -= 1
            elif depth == 0:
                outside.append(name)
        if depth == 0:
            outside.append(literal[start:])
        if field is not None and field.isdigit():
            following = parts[position + 1][0] if position + 1 < len(parts) else ""
            first = position == 0 and not literal
            places.append(_Place(int(field), depth > 0, first, following[:1]))
    return tuple(places), "".join(outside)


def template(op: Op, style: Style, operands: Sequence[Operand], params: dict[str, Any]) -> str | None:
    """Return the op's template; one that depends on shapes or parameters is a function of them, as `Op.spec` is."""
    declared = getattr(op, style)
    chosen: str | None = declared(*operands, **params) if callable(declared) else declared
    return chosen


def write(
    op: Op, operands: Sequence[Written], specs: Sequence[Operand], params: dict[str, Any], style: Style
) -> Written:
    """Return the application of ``op`` as an expression.

    ``operands`` are the operands as written, ``specs`` what a shape rule sees of them.
    """
    if isinstance(op, Region):
        return _call(str(params.get("name", op.name)), [one.text for one in operands], style)
    if isinstance(op, Linear) and op.view:
        shorter = _without_ones(op, operands[0], specs, params)
        if shorter is not None:
            return shorter
    declared = template(op, style, specs, params)
    if declared is None:
        return _call(op.name, [one.text for one in operands] + _options(op, specs, params), style)
    if declared == "{0}":
        return operands[0]
    level = _text_level(op, declared) if style == "text" else _latex_level(op, declared)
    places, _ = _places(declared)
    shown = [one.text for one in operands]
    for place in places:
        operand = operands[place.operand]
        text = _bracketed(operand.text, style) if _weak(op, declared, level, place, operand, style) else operand.text
        shown[place.operand] = text
    if level == SIGN and _passes_sign(op, operands[0]) and not shown[0].startswith("-"):
        level = min(level, operands[0].level)
    if style == "latex" and level == PRODUCT and operands[-1].level == OPERATOR and shown[-1] is operands[-1].text:
        level = OPERATOR
    if style == "latex" and r"\," in declared and len(shown) == 2 and shown[1][:1].isdigit():
        declared = declared.replace(r"\,", r"\cdot")  # 2 3 is not 2 · 3
    text = declared.format(*shown, **params)
    return Written(text, min(level, SIGN) if text.startswith("-") else level, op)


def _weak(op: Op, declared: str, level: float, place: _Place, operand: Written, style: Style) -> bool:
    """Return whether the operand needs parentheses in its place."""
    if place.behind and place.behind in "[.^_":
        return operand.level < {"^": POWER + 0.5, "_": ATOM}.get(place.behind, CALL)
    if place.enclosed:
        return False
    if not place.first and operand.text.startswith("-") and SUM <= level != POWER:
        return True  # a - -b can be read, but not by everyone
    if level == PRODUCT and not place.first and operand.level == OPERATOR and style == "latex":
        return False  # a \sum x: the end of the product cannot be seen then, but the sum's can
    if level >= CALL or level == OPERATOR:
        return operand.level < (PRODUCT if len(_places(declared)[0]) == 1 else SIGN)
    if level == SIGN:
        return operand.level < SIGN and not _passes_sign(op, operand)
    if level == POWER:
        return operand.level < (POWER + 0.5 if place.first else SIGN)
    if level < SUM:
        return operand.level < SUM
    if place.first:
        return operand.level < level
    return operand.level < level or (operand.level == level and not _associates(op, operand.op))


def _passes_sign(op: Op, operand: Written) -> bool:
    """-(a b) is -a b: scaling by -1 may be done to the first factor, or to the sum behind a summation sign."""
    if not isinstance(op, Elementwise) or op.partials != (-1,) or not OPERATOR <= operand.level <= PRODUCT:
        return False
    product = isinstance(operand.op, Elementwise) and (1, 1) in operand.op.identity
    return product or isinstance(operand.op, Bilinear) or operand.level == OPERATOR


def _associates(op: Op, inner: Op | None) -> bool:
    """a + (b - c) is a + b - c, a (b / c) is a b / c: true of an op with a neutral element on both sides."""
    if not isinstance(op, Elementwise) or not isinstance(inner, Elementwise):
        return False
    neutral = dict(op.identity)
    return 0 in neutral and neutral.get(0) == neutral.get(1) == dict(inner.identity).get(1)


def _text_level(op: Op, declared: str) -> float:
    """Return the declared level, but that of a product where a contraction is written as one."""
    return PRODUCT if op.level == CALL and " @ " in _places(declared)[1] else op.level


def _latex_level(op: Op, declared: str) -> float:
    """Return how tightly a LaTeX template binds, which is not how its text does: √x needs no brackets, \\sum x does."""
    if declared.startswith(r"\frac"):
        return FRACTION
    if declared.startswith(r"\begin"):
        return SUM - 0.5
    if op.level < CALL:
        return op.level
    places, outside = _places(declared)
    if " " in outside.strip() or any(not place.enclosed and not place.first for place in places):
        return OPERATOR
    return POWER if "^" in outside else CALL


def _bracketed(text: str, style: Style) -> str:
    return f"({text})" if style == "text" else rf"\left({text}\right)"


def _call(name: str, operands: Sequence[str], style: Style) -> Written:
    if style == "text":
        return Written(f"{name}({', '.join(operands)})", CALL)
    plain = name.replace("_", r"\_")
    return Written(rf"\mathrm{{{plain}}}\left({', '.join(operands)}\right)", CALL)


def _options(op: Op, specs: Sequence[Operand], params: dict[str, Any]) -> list[str]:
    """Return the parameters of a call as arguments, leaving out what is the default."""
    if not isinstance(op, Reduction):
        return [f"{key}={_shown(value)}" for key, value in params.items()]
    axis, rank = params["axis"], len(shape_of(specs[0]))
    shown = [] if len(axis) == rank else [f"axis={axis[0] if len(axis) == 1 else axis}"]
    return shown + ["keepdims=True"] * params["keepdims"]


def _shown(value: Any) -> str:
    return str(getattr(value, "__name__", type(value).__name__)) if callable(value) else str(value)


_SUBSCRIPT = re.compile(r"^(.*)(\[|_\{)([^][{}]*)([]}])$", re.DOTALL)


def _without_ones(op: Linear, operand: Written, specs: Sequence[Operand], params: dict[str, Any]) -> Written | None:
    """Return x[1] for the reshaping of x[1:2] that drops the axis, ``None`` where there is no such subscript."""
    match = _SUBSCRIPT.match(operand.text)
    if match is None or not isinstance(operand.op, Linear):
        return None
    front, opening, inside, closing = match.groups()
    shape, wanted = shape_of(specs[0]), list(op.shape(specs[0], **params))
    parts = inside.split(", ")
    if len(parts) > len(shape) or ":" not in inside:
        return None
    parts += [":"] * (len(shape) - len(parts))
    kept = []
    for part, size in zip(parts, shape, strict=True):
        start, colon, _ = part.partition(":")
        if size == 1 and start and colon and (not wanted or wanted[0] != 1):
            kept.append(start)
            continue
        if not wanted or wanted.pop(0) != size:
            return None
        kept.append(part)
    if wanted:
        return None
    while len(kept) > 1 and kept[-1] == ":":
        kept.pop()
    return Written(f"{front}{opening}{', '.join(kept)}{closing}", operand.level, operand.op)


def number(value: float, style: Style) -> Written:
    """Return a number as written: exactly, and without a point where it is whole."""
    if isinstance(value, bool):
        return Written(str(value) if style == "text" else rf"\mathrm{{{value}}}")
    if not isfinite(value):
        name = "nan" if isnan(value) else "inf"
        text = name if style == "text" else {"nan": r"\mathrm{NaN}", "inf": r"\infty"}[name]
        return Written(f"-{text}", SIGN) if value < 0 else Written(text)
    text = str(int(value)) if value == int(value) and abs(value) < 1e16 else repr(float(value))
    mantissa, exponent, power = text.partition("e")
    if style == "latex" and exponent:
        text = rf"{mantissa} \cdot 10^{{{int(power)}}}"
        return Written(text, SIGN if value < 0 else PRODUCT)
    return Written(text, SIGN if value < 0 else ATOM)


_GREEK = frozenset(
    [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "pi",
        "rho",
        "sigma",
        "tau",
        "phi",
        "chi",
        "psi",
        "omega",
        "Gamma",
        "Delta",
        "Theta",
        "Lambda",
        "Xi",
        "Pi",
        "Sigma",
        "Phi",
        "Psi",
        "Omega",
    ]
)
_ACCENT = {"bar": "bar", "dot": "dot", "hat": "hat"}


def name(text: str, style: Style) -> Written:
    """Return a variable's name as written: in LaTeX, x1 becomes x₁, w_bar gets its bar and sigma its letter."""
    if style == "text":
        return Written(text)
    text = _latex_name(text)
    return Written(text, CALL if text.endswith("}") and "_{" in text else ATOM)  # x₁₂ would be read as x with index 12


def _latex_name(text: str) -> str:
    text = re.sub(r"\[['\"]?([^]'\"]*)['\"]?\]", r".\1", text)
    head, *rest = [part for part in text.split(".") if part]
    stem, _, accent = head.rpartition("_")
    if accent in _ACCENT and stem:
        result = rf"\{_ACCENT[accent]}{{{_latex_name(stem)}}}"
    else:
        letters, digits = re.fullmatch(r"(.*?)_?(\d*)", head, re.DOTALL).groups()  # type: ignore[union-attr]
        plain = letters.replace("_", r"\_")
        shown = f"\\{letters}" if letters in _GREEK else plain if len(letters) <= 1 else rf"\mathrm{{{plain}}}"
        rest = [digits, *rest] if digits else rest
        result = shown
    below = ", ".join(part if part.isdigit() else _latex_name(part) for part in rest)
    return rf"{result}_{{{below}}}" if below else result


__all__ = ["Style", "Written", "name", "number", "template", "write"]
