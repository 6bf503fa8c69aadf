"""Interpretations switch on families, never on ops: none of them asks which op it has in hand.

Planted: `if op is multiply` in reverse mode; `op.name == "exp"` in the compiler.
"""

import ast
from pathlib import Path

import numpy as np
import pytest

import bprop
from bprop.core.family import Bilinear, Creation
from bprop.core.op import REGISTRY, Op
from bprop.diagnose.case import cases

SOURCE = Path(bprop.__file__).parent
MESSAGES = {"guard"}  # ops that one pass puts in for another
CONTRACTIONS = [op for op in REGISTRY.values() if isinstance(op, Bilinear)]


def interpretations():
    for room in ("core", "gradients", "region", "compile", "view"):
        yield from sorted((SOURCE / room).rglob("*.py"))


def asked(tree):
    """Return the ops and names of ops with which a file compares."""
    ops = {name for name, op in vars(bprop.ops).items() if isinstance(op, Op)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and "ops" in (node.module or "").split("."):
            ops |= {alias.asname or alias.name for alias in node.names}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        for left, right in ((node.left, other) for other in node.comparators):
            pair = {ast.unparse(left), ast.unparse(right)}
            if any(text == "op" or text.endswith(".op") for text in pair):
                yield from pair & ops
            if any(text == "op.name" or text.endswith(".op.name") for text in pair):
                yield from pair & {repr(name) for name in REGISTRY}


def test_no_interpretation_asks_which_op_it_has():
    wrong = {
        f"{path.relative_to(SOURCE)}: {name}"
        for path in interpretations()
        for name in asked(ast.parse(path.read_text(encoding="utf-8")))
        if name not in MESSAGES
    }
    assert not wrong


@pytest.mark.parametrize("text", ["node.op is multiply", "exp != x[0].op", "op.name == 'exp'", "'exp' == node.op.name"])
def test_such_a_question_is_seen(text):
    assert list(asked(ast.parse(text)))


@pytest.mark.parametrize("op", CONTRACTIONS, ids=lambda op: op.name)
@pytest.mark.parametrize("position", [0, 1])
def test_a_contraction_declares_its_adjoint(op, position):
    """⟨y_bar, contract(x1, x2)⟩ = ⟨x_bar, x⟩ for each operand."""
    rng = np.random.default_rng(0)
    for xs, params in cases(op):
        y = op(*xs, **params)
        y_bar = rng.normal(size=y.shape)
        labels, windows = op.labels(*(x.shape for x in xs), **params), op.window_params(params)
        x_bar = op.adjoint(y_bar, xs[1 - position], labels, position, xs[position].shape, **windows)
        assert x_bar.shape == xs[position].shape
        np.testing.assert_allclose(
            np.sum(np.asarray(x_bar) * xs[position]), np.sum(np.asarray(y) * y_bar), rtol=1e-12, atol=1e-12
        )


def test_the_canonical_op_of_a_family_writes_any_application():
    assert Bilinear.canonical(np.ones(3), np.ones(3), labels=("a", "a", "")).item() == 3
    made = Creation.canonical(shape=(2,), value=1.5, dtype=np.dtype(np.float32))
    assert made.dtype == np.float32
    assert made.tolist() == [1.5, 1.5]
