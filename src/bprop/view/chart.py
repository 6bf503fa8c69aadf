"""Curves and histograms as SVG for pages: plain shapes with texts, drawn the same way every time."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, isfinite, log10
from typing import NamedTuple

from ..core.printable import printable
from .number import short

COLOURS = ("#0072b2", "#c04f00", "#008262", "#a0447f", "#7a6000", "#4b6f8a")
"""Colours that stay apart for the colour-blind (after Okabe & Ito), readable on white and on black."""
DASHES = ("", "6 3", "2 2", "8 2 2 2", "1 3", "10 4")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 440, 240, 62, 40, 10


class _Axis(NamedTuple):
    """One axis: from ``low`` to ``high``, of logarithms where ``log``; drawn from pixel ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    @classmethod
    def of(cls, numbers: Sequence[float], start: float, end: float, log: bool) -> "_Axis":
        shown = [log10(number) if log else number for number in numbers if isfinite(number) and (not log or number > 0)]
        low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
        margin = 0.05 * (high - low) or abs(high) * 0.1 or 0.5
        return cls(low - margin, high + margin, start, end, log)

    def at(self, number: float) -> float | None:
        """Return the pixel of a number; ``None`` where it cannot be drawn."""
        if not isfinite(number) or (self.log and number <= 0):
            return None
        shown = log10(number) if self.log else number
        return self.start + (self.end - self.start) * (shown - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return about four round numbers."""
        if self.log and self.high - self.low >= 1.2:
            step = max(1, round((self.high - self.low) / 4))
            return [10.0**power for power in range(ceil(self.low), floor(self.high) + 1, step)]
        low, high = (10**self.low, 10**self.high) if self.log else (self.low, self.high)
        raw = (high - low) / 4
        size = 10.0 ** floor(log10(raw)) if raw > 0 else 1.0
        step_size = next((size * factor for factor in (1, 2, 5, 10) if raw <= size * factor), size * 10)
        return [number * step_size for number in range(ceil(low / step_size), floor(high / step_size) + 1)]


def line_chart(
    title: str, x: Sequence[float], series: Mapping[str, Sequence[float]], x_label: str = "epoch", log: bool = False
) -> str:
    """Return a figure with one curve per series, its last value in the legend. ``log``: the second axis is logarithmic."""
    horizontal = _Axis.of([float(number) for number in x], LEFT, WIDTH - 12, False)
    vertical = _Axis.of([float(y) for ys in series.values() for y in ys], HEIGHT - BOTTOM, TOP, log)
    parts = [_frame(horizontal, vertical, x_label)]
    for position, ys in enumerate(series.values()):
        colour, dash = COLOURS[position % len(COLOURS)], DASHES[position % len(DASHES)]
        for piece in _pieces(horizontal, vertical, x, ys):
            points = " ".join(f"{px:.1f},{py:.1f}" for px, py in piece)
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dash}"/>'
            )
            if len(x) <= 15 or len(piece) == 1:
                parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2.6" fill="{colour}"/>' for px, py in piece]
    legend = [
        f'<li><svg width="30" height="10" aria-hidden="true"><line x1="0" y1="5" x2="30" y2="5" stroke="{COLOURS[i % len(COLOURS)]}" '
        f'stroke-width="2" stroke-dasharray="{DASHES[i % len(DASHES)]}"/></svg> {_text(name)}: {short(ys[-1]) if len(ys) else ""}</li>'
        for i, (name, ys) in enumerate(series.items())
    ]
    spoken = "; ".join(
        f"{name} from {short(ys[0])} to {short(ys[-1])}" for name, ys in list(series.items())[:8] if len(ys)
    )
    return _figure(title, "".join(parts), spoken, f'<ul class="legend">{"".join(legend)}</ul>')


def histogram(title: str, edges: Sequence[float], counts: Sequence[int], colour: str = COLOURS[0]) -> str:
    """Return a figure with a bar for each of the counts, between the edges."""
    horizontal = _Axis(float(edges[0]), float(edges[-1]), LEFT, WIDTH - 12, False)
    vertical = _Axis(0.0, 1.05 * max([*counts, 1]), HEIGHT - BOTTOM, TOP, False)
    parts = [_frame(horizontal, vertical, "")]
    for left, right, count in zip(edges, edges[1:], counts, strict=False):
        x0, x1, y = horizontal.at(left), horizontal.at(right), vertical.at(count)
        if x0 is not None and x1 is not None and y is not None:
            parts.append(
                f'<rect x="{x0:.1f}" y="{y:.1f}" width="{max(0.5, x1 - x0 - 0.5):.1f}" height="{HEIGHT - BOTTOM - y:.1f}" fill="{colour}"/>'
            )
    spoken = f"{sum(counts):,} numbers from {short(edges[0])} to {short(edges[-1])}"
    return _figure(title, "".join(parts), spoken, "")


def _pieces(
    horizontal: _Axis, vertical: _Axis, x: Sequence[float], ys: Sequence[float]
) -> list[list[tuple[float, float]]]:
    """Return the points of a curve, in pieces between numbers that cannot be drawn."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for number, y in zip(x, ys, strict=True):
        px, py = horizontal.at(float(number)), vertical.at(float(y))
        if px is None or py is None:
            pieces.append([])
        else:
            pieces[-1].append((px, py))
    return [piece for piece in pieces if piece]


def _frame(horizontal: _Axis, vertical: _Axis, x_label: str) -> str:
    base = HEIGHT - BOTTOM
    parts = []
    for tick in vertical.ticks():
        y = vertical.at(tick) or 0.0
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - 12}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(_rounded(tick))}</text>')
    for tick in horizontal.ticks():
        x = horizontal.at(tick) or 0.0
        parts.append(f'<text x="{x:.1f}" y="{base + 16}" text-anchor="middle">{short(_rounded(tick))}</text>')
    middle = (LEFT + WIDTH - 12) / 2
    parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 4}" text-anchor="middle">{_text(x_label)}</text>')
    return "".join(parts)


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")


def _figure(title: str, shapes: str, spoken: str, below: str) -> str:
    return (
        f'<figure class="chart"><figcaption>{_text(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(title)}: {_text(spoken)}">{shapes}</svg>{below}</figure>'
    )


def _text(text: str) -> str:
    return escape(printable(text))


__all__ = ["COLOURS", "histogram", "line_chart"]
