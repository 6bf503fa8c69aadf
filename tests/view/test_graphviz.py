"""Graphs as DOT: nodes, arrows, labels that Graphviz can read."""

import re

import numpy as np

import bprop
from bprop.view import dot


def test_nodes_and_arrows_are_those_of_the_graph():
    graph = bprop.trace(lambda x, y: bprop.exp(x) * y + x)(np.ones(2), np.ones(2))
    text = dot(graph)
    assert len(re.findall(r"n\d+ \[label=", text)) == 2 + 3
    assert sorted(re.findall(r"(\w+) -> (\w+)", text)) == [
        ("n0", "n2"), ("n0", "n4"), ("n1", "n3"), ("n2", "n3"), ("n3", "n4"), ("n4", "result"),
    ]  # fmt: skip
    assert text.count("{") == text.count("}") == 1


def test_names_values_and_quotes():
    graph = bprop.trace(lambda x: x * 2)(1.0)
    (node,) = graph.inputs
    text = dot(graph, {node: 'p["w"]\\'}, {node.output: "3\n4"})
    assert r'label="p[\"w\"]\\\nfloat64[]\n3\n4"' in text


def test_view_draws_values_and_gradients():
    text = bprop.view(lambda x: x * x, 3.0).dot
    assert r"x\nfloat64[]\n3\n∂: 6" in text
    assert r"a = x * x\nfloat64[]\n9\n∂: 1" in text


def test_every_result_of_a_region_has_its_note():
    text = bprop.view(lambda x: bprop.sum(bprop.scan(lambda c, r: (c + r, c), 0.0, x)[1]), np.ones(3)).dot
    assert "scan(" in text
