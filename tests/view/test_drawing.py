"""Drawings: one set of coordinates, in every format; what is too large says so."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bprop
from bprop.core.error import ArgumentError
from bprop.view.drawing import Drawing
from bprop.view.layout import Size, layout
from bprop.view.page import render


def f(w, x):
    return np.sum(np.maximum(x @ w, 0) ** 2) + bprop.logsumexp(w) * w[0]


VIEW = bprop.view(f, np.array([0.3, -0.4]), np.ones((3, 2)))


@given(st.lists(st.tuples(st.floats(20, 300), st.lists(st.integers(0, 30), max_size=3)), min_size=1, max_size=30))
def test_boxes_do_not_overlap_and_arrows_go_down(drawn):
    sizes = [Size(width, 40.0) for width, _ in drawn]
    operands = [[source % box for source in sources] if box else [] for box, (_, sources) in enumerate(drawn)]
    made = layout(sizes, operands)
    assert made == layout(sizes, operands)
    for a, (x, y) in enumerate(made.centres):
        assert sizes[a].width / 2 <= x <= made.width - sizes[a].width / 2
        assert 20 <= y <= made.height - 20
        for b in range(a):
            other_x, other_y = made.centres[b]
            apart = abs(x - other_x) - (sizes[a].width + sizes[b].width) / 2
            assert abs(y - other_y) >= 40 or apart > 10
    heads = [box for box, sources in enumerate(operands) for _ in sources]
    tails = [source for sources in operands for source in sources]
    assert len(made.arrows) == len(heads)
    for points, tail, head in zip(made.arrows, tails, heads, strict=True):
        assert points[0][0] == made.centres[tail][0]
        assert abs(points[-1][0] - made.centres[head][0]) <= sizes[head].width / 2
        assert [y for _, y in points] == sorted(y for _, y in points)


def test_every_format_draws_the_same_coordinates(tmp_path):
    drawing = Drawing(VIEW)
    for ending in ("html", "svg", "tex", "dot", "png", "pdf"):
        VIEW.save(tmp_path / f"graph.{ending}")
    svg = (tmp_path / "graph.svg").read_text(encoding="utf-8")
    html = (tmp_path / "graph.html").read_text(encoding="utf-8")
    tex = (tmp_path / "graph.tex").read_text(encoding="utf-8")
    root = ElementTree.fromstring(svg)
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    for box in drawing.boxes:
        rect = f'x="{box.x - box.width / 2:g}" y="{box.y - box.height / 2:g}" width="{box.width:g}"'
        assert rect in svg
        assert rect in html
        assert f"at ({box.x:g}, {box.y:g})" in tex
        assert {box.title, *box.values, *box.gradients} <= set(texts)
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "graph.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "graph.dot").read_text(encoding="utf-8").startswith("digraph")


def test_an_ending_that_is_no_format_names_those_that_are(tmp_path):
    with pytest.raises(ArgumentError, match=r"\.html, \.svg, \.tex, \.dot, \.png, \.pdf"):
        VIEW.save(tmp_path / "graph.jpeg")


def test_a_page_asks_for_nothing_and_is_small():
    page = render("f", [VIEW])
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!data:)", page)
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert len(page.encode()) < 200_000


def test_several_figures_on_one_page_keep_apart():
    page = render("both", [VIEW, VIEW], "<p>two of them</p>")
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert page.count('<section class="figure"') == 2


def test_names_with_markup_are_text_in_every_format(tmp_path):
    view = bprop.view(lambda p: sum(x * x for x in p.values()), {"</script><b>": 1.0, "ä\\_$": 2.0})
    for ending in ("html", "svg", "tex"):
        view.save(tmp_path / f"g.{ending}")
        assert "</script><b>" not in (tmp_path / f"g.{ending}").read_text(encoding="utf-8")
    ElementTree.parse(tmp_path / "g.svg")
    view.save(tmp_path / "g.pdf")


def long_chain(x):
    for _ in range(800):
        x = x * 1.5 - 0.5
    return x


def test_a_large_graph_says_what_it_shows_instead(tmp_path):
    view = bprop.view(long_chain, 1.0)
    page = render("f", [view])
    assert "1,601 nodes" in page
    assert "<svg" not in page
    assert len(page) < 200_000
    with pytest.raises(ArgumentError, match="1,601 nodes"):
        view.save(tmp_path / "g.svg")
    assert len(str(view).splitlines()) == 1 + 1 + 200 + 1


def test_beyond_two_hundred_applications_there_are_steps_and_no_sliders():
    def f(x):
        for _ in range(150):
            x = x * 1.5 - 0.5
        return x

    page = render("f", [bprop.view(f, 1.0)])
    assert "the graph has 300 applications; up to 200 can be computed" in page
    assert "<svg" in page
