"""How one application is written as LaTeX: as text is (`bprop.core.notation`), but for what LaTeX delimits by itself."""

import re
from collections.abc import Sequence
from math import isfinite, isnan

from ..core.notation import ATOM, CALL, OPERATOR, POWER, PRODUCT, SIGN, SUM, Notation, Slot, Written
from ..core.op import Op
from ..core.value import Spec

FRACTION = 3.5  # delimits itself, except as the base of a power


class Latex(Notation):
    """Writes applications as LaTeX, for mathematics mode."""

    style = "latex"
    delimiter = re.compile(r"\\left.|\\right.|\\begin|\\end|\\[A-Za-z]+|[(\[{}\])]")

    def opens(self, token: str) -> bool:
        return token in ("\\begin", "(", "[", "{") or (token.startswith("\\left") and bool(token[5:].strip()))

    def closes(self, token: str) -> bool:
        return token in ("\\end", ")", "]", "}") or token.startswith("\\right")

    def adjusted(
        self, level: float, template: str, operands: Sequence[Written], texts: Sequence[str]
    ) -> tuple[float, str]:
        if level == PRODUCT and operands[-1].level == OPERATOR and texts[-1] is operands[-1].text:
            level = OPERATOR
        if r"\," in template and len(texts) == 2 and texts[1][:1].isdigit():
            template = template.replace(r"\,", r"\cdot")  # 2 3 is not 2 · 3
        return level, template

    def needs_brackets(self, op: Op, template: str, level: float, slot: Slot, operand: Written) -> bool:
        unseen = not slot.behind or slot.behind not in "[.^_"
        if unseen and not slot.first and level == PRODUCT and operand.level == OPERATOR:
            # a \sum x: the end of the product cannot be seen then, but the sum's can
            return not slot.enclosed and operand.text.startswith("-")
        return super().needs_brackets(op, template, level, slot, operand)

    def level(self, op: Op, template: str) -> float:
        """Return how tightly a template binds, which is not how its text does: √x needs no brackets, Σ x does."""
        if template.startswith(r"\frac"):
            return FRACTION
        if template.startswith(r"\begin"):
            return SUM - 0.5
        if op.level < CALL:
            return op.level
        slots, outside = self.slots(template)
        if " " in outside.strip() or any(not slot.enclosed and not slot.first for slot in slots):
            return OPERATOR
        return POWER if "^" in outside else CALL

    def bracketed(self, text: str) -> str:
        return rf"\left({text}\right)"

    def call(self, name: str, operands: Sequence[str]) -> Written:
        return Written(rf"\mathrm{{{escaped(name)}}}\left({', '.join(operands)}\right)", CALL)

    def number(self, value: complex) -> Written:
        if isinstance(value, bool):
            return Written(rf"\mathrm{{{value}}}")
        if isinstance(value, complex):
            return Written(str(value).replace("j", r" \, \mathrm{i}"))
        if not isfinite(value):
            text = r"\mathrm{NaN}" if isnan(value) else r"\infty"
            return Written(f"-{text}", SIGN) if value < 0 else Written(text)
        text = super().number(value).text
        mantissa, exponent, power = text.partition("e")
        if exponent:
            text = rf"{mantissa} \cdot 10^{{{int(power)}}}"
            return Written(text, SIGN if value < 0 else PRODUCT)
        return Written(text, SIGN if value < 0 else ATOM)

    def array(self, entries: Sequence[str], spec: Spec) -> str:
        """Return a vector as a column, a matrix by its rows, arrays of more axes as lists of those."""
        if len(spec.shape) > 2:
            return super().array(entries, spec)
        width = spec.shape[1] if len(spec.shape) == 2 else 1
        rows = [" & ".join(entries[i : i + width]) for i in range(0, len(entries), width)]
        return r"\begin{pmatrix} " + r" \\ ".join(rows) + r" \end{pmatrix}"

    def name(self, text: str) -> Written:
        """Return a variable's name: x1 becomes x₁, w_bar gets its bar and sigma its letter."""
        text = _latex_name(text)
        return Written(text, CALL if text.endswith("}") and "_{" in text else ATOM)  # x₁₂ is not x with index 12


LATEX = Latex()
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


_SPECIAL = re.compile(r"[_&%$#{}]")
_COMMANDS = {"\\": r"\backslash ", "^": r"\wedge ", "~": r"\sim "}


def escaped(name: str) -> str:
    """Return text whose characters mean nothing to LaTeX."""
    for letter, command in _COMMANDS.items():
        name = name.replace(letter, command)
    return _SPECIAL.sub(r"\\\g<0>", name)


def _latex_name(text: str) -> str:
    text = re.sub(r"\[['\"]?([^]'\"]*)['\"]?\]", lambda index: "." + index[1].replace(", ", "."), text)
    head, *rest = [step for step in text.split(".") if step]
    stem, _, accent = head.rpartition("_")
    if accent in _ACCENT and stem:
        result = rf"\{_ACCENT[accent]}{{{_latex_name(stem)}}}"
    else:
        letters, digits = re.fullmatch(r"(.*?)_?(\d*)", head, re.DOTALL).groups()  # type: ignore[union-attr]
        plain = escaped(letters)
        shown = f"\\{letters}" if letters in _GREEK else plain if len(letters) <= 1 else rf"\mathrm{{{plain}}}"
        rest = [digits, *rest] if digits else rest
        result = shown
    below = ", ".join(index if index.isdigit() else _latex_name(index) for index in rest)
    return rf"{result}_{{{below}}}" if below else result


__all__ = ["LATEX", "Latex", "escaped"]
