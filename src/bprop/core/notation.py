"""How one application is written as text: the op's template, and parentheses exactly where needed.

An op declares a template and a precedence; what each slot of the template demands of its operand follows from the
template alone. An operand inside brackets, braces or a fraction needs nothing, one that stands open must bind tightly
enough: the right side of ``-`` and ``/`` and the left side of ``**`` more tightly than the op itself.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from math import isfinite, isnan
from string import Formatter
from typing import Any, NamedTuple

from .family import Bilinear, Creation, Elementwise, Linear, Reduction, Region
from .op import Op, Operand, shape_of
from .value import Spec

SUM, PRODUCT, SIGN, POWER, CALL, ATOM = 1.0, 2.0, 3.0, 4.0, 9.0, 10.0
OPERATOR = 1.5  # a large operator such as Σ: takes a product, but is bracketed inside one, since its end cannot be seen


class Written(NamedTuple):
    """An expression as written, how tightly it binds, and the op applied last (``None`` for a name or a number)."""

    text: str
    level: float = ATOM
    op: Op | None = None


class Slot(NamedTuple):
    """Where an operand stands in a template: inside delimiters, first, and with what right behind it."""

    operand: int
    enclosed: bool
    first: bool
    behind: str


class Notation:
    """Writes applications as text that Python reads the same way; `bprop.formula.latex` has the one for LaTeX.

    ``style`` is the attribute of an op that holds its template; ``delimiter`` finds what opens or closes in a template.
    """

    style = "text"
    delimiter = re.compile(r"[(\[{}\])]")

    def opens(self, token: str) -> bool:
        """Return whether a delimiter opens."""
        return token in "([{"

    def closes(self, token: str) -> bool:
        """Return whether a delimiter closes."""
        return token in ")]}"

    @lru_cache(maxsize=4096)  # noqa: B019 - there are two notations, which live as long as the program
    def slots(self, template: str) -> tuple[tuple[Slot, ...], str]:
        """Return the slots of a template, and the literal text that stands outside of all delimiters."""
        parts = list(Formatter().parse(template))
        slots: list[Slot] = []
        outside: list[str] = []
        depth = 0
        for position, (literal, field, _, _) in enumerate(parts):
            start = 0
            for match in self.delimiter.finditer(literal):
                if depth == 0:
                    outside.append(literal[start : match.start()])
                start = match.end()
                token = match.group()
                if self.opens(token):
                    depth += 1
                elif self.closes(token):
                    depth -= 1
                elif depth == 0:
                    outside.append(token)
            if depth == 0:
                outside.append(literal[start:])
            if field is not None and field.isdigit():
                following = parts[position + 1][0] if position + 1 < len(parts) else ""
                first = position == 0 and not literal
                slots.append(Slot(int(field), depth > 0, first, following[:1]))
        return tuple(slots), "".join(outside)

    def template(self, op: Op, operands: Sequence[Operand], params: dict[str, Any]) -> str | None:
        """Return the op's template; one that depends on shapes or parameters is a function of them, as `Op.spec` is."""
        if isinstance(op, Creation) and op.entry == "constant" and params["shape"] == ():
            return self.number(params["value"]).text.replace("{", "{{").replace("}", "}}")
        declared = getattr(op, self.style)
        chosen: str | None = declared(*operands, **params) if callable(declared) else declared
        return chosen

    def write(self, op: Op, operands: Sequence[Written], specs: Sequence[Operand], params: dict[str, Any]) -> Written:
        """Return the application of ``op`` as an expression.

        ``operands`` are the operands as written, ``specs`` what a shape rule sees of them.
        """
        texts = [operand.text for operand in operands]
        if isinstance(op, Region):
            return self.call(str(params.get("name", op.name)), texts)
        if isinstance(op, Linear) and op.view:
            shorter = _without_ones(op, operands[0], specs, params)
            if shorter is not None:
                return shorter
        template = self.template(op, specs, params)
        if template is None:
            return self.call(op.name, texts + self.options(op, specs, params))
        if template == "{0}":
            return operands[0]
        level = self.level(op, template)
        for slot in self.slots(template)[0]:
            operand = operands[slot.operand]
            bracketed = self.needs_brackets(op, template, level, slot, operand)
            texts[slot.operand] = self.bracketed(operand.text) if bracketed else operand.text
        if level == SIGN and _passes_sign(op, operands[0]) and not texts[0].startswith("-"):
            level = min(level, operands[0].level)
        level, template = self.adjusted(level, template, operands, texts)
        text = template.format(*texts, **params)
        return Written(text, min(level, SIGN) if text.startswith("-") else level, op)

    def adjusted(
        self, level: float, template: str, operands: Sequence[Written], texts: Sequence[str]
    ) -> tuple[float, str]:
        """Return level and template as they are where ``texts`` are the operands."""
        return level, template

    def needs_brackets(self, op: Op, template: str, level: float, slot: Slot, operand: Written) -> bool:
        """Return whether the operand needs parentheses in its slot."""
        if slot.behind and slot.behind in "[.^_":
            return operand.level < {"^": POWER + 0.5, "_": ATOM}.get(slot.behind, CALL)
        if slot.enclosed:
            return False
        if not slot.first and operand.text.startswith("-") and SUM <= level != POWER:
            return True  # a - -b can be read, but not by everyone
        if level >= CALL or level == OPERATOR:
            return operand.level < (PRODUCT if len(self.slots(template)[0]) == 1 else SIGN)
        if level == SIGN:
            return operand.level < SIGN and not _passes_sign(op, operand)
        if level == POWER:
            return operand.level < (POWER + 0.5 if slot.first else SIGN)
        if level < SUM:
            return operand.level < SUM
        if slot.first:
            return operand.level < level
        return operand.level < level or (operand.level == level and not _associates(op, operand.op))

    def level(self, op: Op, template: str) -> float:
        """Return the declared level, but that of a product where a contraction is written as one."""
        return PRODUCT if op.level == CALL and " @ " in self.slots(template)[1] else op.level

    def bracketed(self, text: str) -> str:
        """Return an expression in parentheses."""
        return f"({text})"

    def call(self, name: str, operands: Sequence[str]) -> Written:
        """Return the call of a function."""
        return Written(f"{name}({', '.join(operands)})", CALL)

    def options(self, op: Op, specs: Sequence[Operand], params: dict[str, Any]) -> list[str]:
        """Return the parameters of a call as arguments, leaving out what is the default."""
        if not isinstance(op, Reduction):
            return [f"{key}={self.option(value)}" for key, value in params.items()]
        axis, rank = params["axis"], len(shape_of(specs[0]))
        shown = [] if len(axis) == rank else [f"axis={axis[0] if len(axis) == 1 else axis}"]
        return shown + ["keepdims=True"] * params["keepdims"]

    def option(self, value: Any) -> str:
        """Return the value of a parameter as written."""
        return str(getattr(value, "__name__", type(value).__name__)) if callable(value) else str(value)

    def number(self, value: complex) -> Written:
        """Return a number as written: exactly, and without a point where it is an integer."""
        if isinstance(value, bool | complex):
            return Written(str(value))
        if not isfinite(value):
            text = "nan" if isnan(value) else "inf"
            return Written(f"-{text}", SIGN) if value < 0 else Written(text)
        text = str(int(value)) if value == int(value) and abs(value) < 1e16 else repr(float(value))
        return Written(text, SIGN if value < 0 else ATOM)

    def name(self, text: str) -> Written:
        """Return a variable's name as written."""
        return Written(text)

    def array(self, entries: Sequence[str], spec: Spec) -> str:
        """Return an array of written entries, given in order, as nested lists."""
        return nested_lists(entries, spec.shape)


TEXT = Notation()


def nested_lists(entries: Sequence[str], shape: tuple[int, ...]) -> str:
    """Return written entries, given in order, as lists in lists."""
    if not shape:
        return entries[0]
    step = len(entries) // shape[0]
    return f"[{', '.join(nested_lists(entries[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0]))}]"


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


_SUBSCRIPT = re.compile(r"^(.*)(\[|_\{)([^][{}]*)([]}])$", re.DOTALL)


def _without_ones(op: Linear, operand: Written, specs: Sequence[Operand], params: dict[str, Any]) -> Written | None:
    """Return x[1] for the reshaping of x[1:2] that drops the axis, ``None`` where there is no such subscript."""
    match = _SUBSCRIPT.match(operand.text)
    if match is None or not isinstance(operand.op, Linear):
        return None
    front, opening, inside, closing = match.groups()
    shape, wanted = shape_of(specs[0]), list(op.shape(specs[0], **params))
    entries = inside.split(", ")
    if len(entries) > len(shape) or ":" not in inside:
        return None
    entries += [":"] * (len(shape) - len(entries))
    subscript = []
    for entry, size in zip(entries, shape, strict=True):
        start, colon, _ = entry.partition(":")
        if size == 1 and start and colon and (not wanted or wanted[0] != 1):
            subscript.append(start)
            continue
        if not wanted or wanted.pop(0) != size:
            return None
        subscript.append(entry)
    if wanted:
        return None
    while len(subscript) > 1 and subscript[-1] == ":":
        subscript.pop()
    return Written(f"{front}{opening}{', '.join(subscript)}{closing}", operand.level, operand.op)


__all__ = [
    "ATOM",
    "CALL",
    "OPERATOR",
    "POWER",
    "PRODUCT",
    "SIGN",
    "SUM",
    "TEXT",
    "Notation",
    "Slot",
    "Written",
    "nested_lists",
]
