"""A drawing as SVG: by itself a file with its own colours, inside a page without them."""

from xml.sax.saxutils import escape, quoteattr

from .drawing import LINE, Arrow, Box, Drawing, path_of

STYLE = """
.view { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.box rect { fill: #fff; stroke: #666; }
.box.input rect { stroke: #0072B2; }
.box.capture rect { stroke-dasharray: 1 2; }
.box.result rect { stroke-width: 2.5; }
.box text { text-anchor: middle; fill: #222; }
.box .value { fill: #0072B2; }
.box .gradient { fill: #C04F00; }
.arrow { fill: none; stroke: #0072B2; stroke-width: 1.3; }
.back { fill: none; stroke: #C04F00; stroke-width: 1.3; stroke-dasharray: 5 3; }
.tip { fill: #0072B2; } .tip-back { fill: #C04F00; }
"""
"""Values are blue, with solid arrows; gradients are orange, with dashed arrows back: apart for all kinds of colour vision."""


def svg(drawing: Drawing, *, style: bool = True) -> str:
    """Return the drawing as an SVG element; ``style``: with its colours, as a file needs them."""
    layout = drawing.layout
    width, height = layout.width, layout.height
    title = escape(f"Computational graph of {drawing.figure.name}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="view" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="group" aria-label={quoteattr(title)}>',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style><rect width='100%' height='100%' fill='#fff'/>" if style else "",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        '<path class="tip" d="M0 0L8 4L0 8z"/></marker>'
        '<marker id="tip-back" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        '<path class="tip-back" d="M0 0L8 4L0 8z"/></marker></defs>',
    ]
    parts += [_arrow(number, arrow) for number, arrow in enumerate(drawing.arrows)]
    parts += [_box(number, box, number in drawing.results) for number, box in enumerate(drawing.boxes)]
    return "\n".join([part for part in parts if part] + ["</svg>"])


def _arrow(number: int, arrow: Arrow) -> str:
    ends = f'data-arrow="{number}" data-tail="{arrow.tail}" data-head="{arrow.head}"'
    left = [(round(x - 3, 1), y) for x, y in arrow.points] if arrow.has_gradient else arrow.points
    lines = [f'<path class="arrow" {ends} d="{path_of(left)}" marker-end="url(#tip)"/>']
    if arrow.has_gradient:
        back = [(round(x + 4, 1), y) for x, y in reversed(arrow.points)]
        lines.append(f'<path class="back" {ends} d="{path_of(back)}" marker-end="url(#tip-back)"/>')
    return "\n".join(lines)


def _box(number: int, box: Box, is_result: bool) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    kind = f"box {box.kind}" + " result" * is_result
    lines = [
        f'<g class="{kind}" data-box="{number}"><title>{escape(box.full_title)}</title>',
        f'<rect x="{left:g}" y="{top:g}" width="{box.width:g}" height="{box.height:g}" rx="{12 if box.kind == "input" else 4}"/>',
    ]
    y = top + LINE
    for style, texts in (("name", [box.title]), ("value", box.values), ("gradient", box.gradients)):
        for text in texts:
            lines.append(f'<text class="{style}" x="{box.x:g}" y="{y:g}">{escape(text)}</text>')
            y += LINE
    return "".join([*lines, "</g>"])


__all__ = ["svg"]
