"""A network as a page: its modules as a tree that unfolds, each with what goes through it both ways.

The tree is HTML's own (``details``), so that it needs no program: it opens with a click, Enter or Space, and prints. Repeated blocks are
folded into one line with the range of their numbers. Lengths of bars are logarithmic: what is a thousandth of the largest is half as long.
"""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from math import isfinite, log10
from typing import Any

from ..core.printable import printable
from .document import whole_page
from .module_statistics import ModuleStatistics
from .number import short

DECADES = 6
"""Powers of ten from the longest bar to none."""
VANISHING, EXPLODING = 1e-4, 1e4
"""∂E/∂y of a module, in parts of that of the last module with one, that is called vanishing or exploding."""
OPEN = 2
"""Levels of the tree that are open at first, unless that is too long."""
LINES = 40
"""Modules of a network of which two levels are open at first, at most."""

HEADINGS = (
    "module",
    "output",
    "parameters",
    "‖∂E/∂W‖",
    "‖∂E/∂y‖",
    "y: mean ± std",
    "saturated",
    "dead",
    "kept",
    "FLOPs",
)


def network_page(title: str, trees: Sequence[ModuleStatistics]) -> str:
    """Return the page: a summary, the cotangents along the depth as a curve, and the tree."""
    content = "\n".join(_network(tree) for tree in trees)
    heading = f"<h2>{escape(printable(title))}</h2>"
    return whole_page(title, heading + content, ("page", "network"), ("theme",))


def _network(tree: ModuleStatistics) -> str:
    return "\n".join(
        [_summary(tree), _curve(tree), _legend(), f'<div class="tree scrolled">{_head()}{_rows(tree)}</div>']
    )


class _Scale:
    """Bars of one kind: logarithmic, the largest number is full length."""

    def __init__(self, numbers: Iterator[float | None]) -> None:
        self.largest = max((number for number in numbers if number and isfinite(number)), default=0.0)

    def bar(self, number: float | None, kind: str) -> str:
        if number is None:
            return '<span class="absent" title="E does not depend on it">∅</span>'
        share = 0.0 if not number or not self.largest else 1 + log10(number / self.largest) / DECADES
        width = 100 if not isfinite(number) else round(100 * min(1.0, max(0.0, share)), 1)
        return (
            f'<span class="bar {kind}"><span class="fill" style="width: {width}%"></span>'
            f'<span class="number">{short(number)}</span></span>'
        )


class _Tree:
    """The tree being written, with its scales, and what the last cotangent is measured by."""

    def __init__(self, root: ModuleStatistics) -> None:
        modules = list(root.walk())
        self.gradient = _Scale(module.gradient_norm for module in modules)
        self.cotangent = _Scale(module.y_bar_norm for module in modules)
        norms = [_per_entry(module) for module in modules if not module.children and module.y_bar_norm]
        self.last = next((norm for norm in reversed(norms) if norm), None)
        self.short = len(modules) <= LINES

    def row(self, module: ModuleStatistics, name: str, count: int = 1) -> str:
        """Return the cells of a module; ``count``: of how many equal ones it is the first."""
        unreached = [p.name for p in module.parameters if p.gradient_norm is None]
        remark = self.remark(module)
        label = f"<b>{escape(printable(name))}</b> {escape(printable(module.kind))}"
        if count > 1:
            label += f' <span class="times">× {count}</span>'
        if unreached:
            label += f' <span class="unreached">not reached: {escape(printable(", ".join(unreached)))}</span>'
        if remark:
            label += f' <span class="warning">{remark}</span>'
        y = module.y
        activations = f"{short(y.mean)} ± {short(y.std)}" if y.size else ""
        if y.not_finite:
            activations += f' <span class="warning">{y.not_finite:,} NaN or ∞</span>'
        saturated = "" if module.saturated is None else f"{100 * module.saturated:.0f} %"
        dead = "" if module.dead is None else f"{module.dead} of {module.units}"
        cells = (
            str(module.output or "not applied").replace("float", "f"),
            f"{module.parameter_count:,}" if module.parameter_count else "",
            self.gradient.bar(module.gradient_norm, "gradient") if module.parameter_count else "",
            self.cotangent.bar(module.y_bar_norm, "gradient") if module.output else "",
            activations,
            f'<span class="warning">{saturated}</span>' if (module.saturated or 0) > 0.9 else saturated,
            f'<span class="warning">{dead}</span>' if module.dead else dead,
            _bytes(module.kept),
            _count(module.flops),
        )
        labelled = zip(HEADINGS[1:], cells, strict=True)
        inner = "".join(f'<span class="cell" data-heading="{heading}">{cell}</span>' for heading, cell in labelled)
        return f'<span class="cell name" title="{escape(printable(module.text))}">{label}</span>{inner}'

    def remark(self, module: ModuleStatistics) -> str:
        """Return what is wrong with the cotangent at a glance."""
        size = _per_entry(module)
        if size is None or self.last is None or not self.last:
            return ""
        if not isfinite(size):
            return "NaN or ∞"
        if size < VANISHING * self.last:
            return "vanishing"
        return "exploding" if size > EXPLODING * self.last else ""

    def module(self, module: ModuleStatistics, name: str, depth: int, count: int = 1) -> str:
        row = f'<span class="row" style="--depth: {depth}">{self.row(module, name, count)}</span>'
        if not module.children:
            return f'<div class="leaf">{row}</div>'
        inner = self.children(module.children, depth + 1)
        opened = " open" if depth == 0 or (depth < OPEN and self.short) else ""
        return f"<details{opened}><summary>{row}</summary>{inner}</details>"

    def children(self, modules: Sequence[ModuleStatistics], depth: int) -> str:
        """Return the modules in one module; equal neighbours with modules inside become one line."""
        parts = []
        for _, group in groupby(modules, key=_block):
            equal = list(group)
            if len(equal) < 3 or not equal[0].children:
                parts += [self.module(module, _last(module.path), depth) for module in equal]
                continue
            name = f"{_last(equal[0].path)} … {_last(equal[-1].path)}"
            numbers = [module.gradient_norm or 0.0 for module in equal]
            extent = f"‖∂E/∂W‖ from {short(min(numbers))} to {short(max(numbers))}"
            row = f'<span class="row" style="--depth: {depth}">{self.row(equal[0], name, len(equal))}</span>'
            inner = "".join(self.module(module, _last(module.path), depth + 1) for module in equal)
            parts.append(f'<details class="block"><summary title="{extent}">{row}</summary>{inner}</details>')
        return "".join(parts)


def _rows(tree: ModuleStatistics) -> str:
    return _Tree(tree).module(tree, tree.path or "network", 0)


def _head() -> str:
    return '<div class="head row">' + "".join(f'<span class="cell">{name}</span>' for name in HEADINGS) + "</div>"


def _block(module: ModuleStatistics) -> Any:
    """Equal blocks have equal insides; a module without any is alone, by its path."""
    return module.shape_key if module.children else module.path


def _last(path: str) -> str:
    """Return the last part of a path that says something: layers.3 is 3."""
    return path.rsplit(".", 1)[-1]


def _per_entry(module: ModuleStatistics) -> float | None:
    """Return the root mean square of ∂E/∂y."""
    if module.y_bar_norm is None or module.y_bar is None or not module.y_bar.size:
        return None
    return float(module.y_bar_norm / module.y_bar.size**0.5)


def _bytes(count: int) -> str:
    for unit, size in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B" if count else ""


def _count(number: int) -> str:
    for letter, size in (("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000)):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return str(number) if number else ""


def _summary(tree: ModuleStatistics) -> str:
    lines = [
        f"{tree.parameter_count:,} parameters, {_bytes(tree.kept) or '0 B'} kept for the backward pass, {_count(tree.flops) or 0} FLOPs forward."
    ]
    if tree.unreached:
        shown = ", ".join(tree.unreached[:6]) + (
            f" and {len(tree.unreached) - 6} more" if len(tree.unreached) > 6 else ""
        )
        lines.append(f'<span class="unreached">E does not depend on {escape(printable(shown))}.</span>')
    return "".join(f"<p>{line}</p>" for line in lines)


def _legend() -> str:
    return (
        '<p class="legend">Bars are logarithmic over six powers of ten. Saturated: entries where the local derivative is below 1/100. Dead: '
        "units that are so for every example. Kept: the input and what fprop saves for bprop. Click a line to open it.</p>"
    )


def _curve(tree: ModuleStatistics) -> str:
    """Return ∂E/∂y per entry along the modules without modules inside, first to last, as a curve with a logarithmic axis."""
    points = [(module, _per_entry(module)) for module in tree.walk() if not module.children]
    sizes = [(module, size) for module, size in points if size and isfinite(size)]
    if len(sizes) < 3:
        return ""
    low, high = (f(log10(size) for _, size in sizes) for f in (min, max))
    low, high = low - 0.2, high + 0.2
    width, height = 720, 130

    def at(number: int, size: float) -> tuple[float, float]:
        x = 60 + (width - 80) * number / (len(sizes) - 1)
        return x, 10 + (height - 40) * (high - log10(size)) / (high - low)

    places = [at(number, size) for number, (_, size) in enumerate(sizes)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{escape(printable(module.path))} {escape(printable(module.kind))}: '
        f"{short(size)}</title></circle>"
        for (x, y), (module, size) in zip(places, sizes, strict=True)
    )
    ticks = "".join(
        f'<text x="52" y="{at(0, 10.0**power)[1] + 4:.1f}" text-anchor="end">{short(10.0**power)}</text>'
        for power in range(int(low) - 1, int(high) + 2, max(1, round((high - low) / 4)))
        if low <= power <= high
    )
    text = f"∂E/∂y, root mean square per entry, from {short(sizes[0][1])} at the first to {short(sizes[-1][1])} at the last module"
    return (
        f'<figure class="curve"><svg viewBox="0 0 {width} {height}" role="img" aria-label="{text}"><polyline points="{line}"/>{dots}{ticks}'
        f'<text x="60" y="{height - 8}">input</text><text x="{width - 20}" y="{height - 8}" text-anchor="end">output</text></svg>'
        f"<figcaption>{text}</figcaption></figure>"
    )


__all__ = ["network_page"]
