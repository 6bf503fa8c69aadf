"""MathML: well-formed for every op and every name, and what the LaTeX says."""

from xml.etree import ElementTree

import numpy as np
import pytest

import bprop
from bprop import nn
from bprop.core.op import REGISTRY
from bprop.diagnose.case import cases
from bprop.formula.formula import Expression
from bprop.formula.mathml import mathml


def parsed(text):
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/1998/Math/MathML}math"
    return root


def shown(text):
    return "".join(parsed(text).itertext())


@pytest.mark.parametrize("op", [op for op in REGISTRY.values() if not op.is_region], ids=lambda op: op.name)
def test_every_op(op):
    seen = set()
    for args, params in list(cases(op))[:1]:
        graph = bprop.trace(lambda *xs, params=params: op(*xs, **params)[0] if op.several else op(*xs, **params))(*args)
        expression = Expression(graph, [f"x{position}" for position in range(len(graph.inputs))])
        if expression.latex not in seen:
            seen.add(expression.latex)
            text = shown(expression.mathml)
            assert "\\" not in text, expression.latex


@pytest.mark.parametrize("name", ["<script>", "a&b", "Größe", "w_bar", "x1", "p['<b>']", "$", "100%", "#1", "a{b", "}"])
def test_names_are_text(name):
    latex = bprop.expression(lambda x: x * x)(2.0)
    expression = Expression(latex.graph, [name])
    assert "<script" not in expression.mathml
    assert "<b>" not in expression.mathml
    parsed(expression.mathml)


def test_a_fraction_is_one():
    root = parsed(mathml(r"\frac{1}{x}"))
    assert root.find(".//{http://www.w3.org/1998/Math/MathML}mfrac") is not None


def test_equations_are_a_table():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    rows = parsed(model.equations().mathml).findall(".//{http://www.w3.org/1998/Math/MathML}mtr")
    assert len(rows) == 10
    assert "δ" in shown(model.equations().mathml)
    assert "layers.1" in shown(model.equations().mathml)
    parsed(bprop.export(lambda w: np.sum(w**2))(np.ones(2)).mathml)
