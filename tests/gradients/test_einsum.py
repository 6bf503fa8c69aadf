"""einsum: Einstein's notation with its edge cases, and an adjoint that is an einsum again.

Planted: `contraction_adjoint` without its broadcast (labels of one operand and sizes of 1 fail), `_diagonal` keeping
the first of two equal labels (repeated labels fail).
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop

CASES = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ji,jk->ki", (3, 2), (3, 4)), ("i,i->", (3,), (3,)),
    ("i,j->ji", (3,), (2,)), ("ij->ji", (2, 3)), ("ij->", (2, 3)), ("ij->j", (2, 3)), ("ii->i", (3, 3)), ("ii->", (3, 3)),
    ("ii", (3, 3)), ("iij->ji", (2, 2, 3)), ("iii->i", (2, 2, 2)), ("ij,jj->i", (2, 3), (3, 3)),
    ("...ij,...jk->...ik", (5, 2, 3), (5, 3, 4)), ("...ij,jk->...ik", (5, 2, 3), (3, 4)), ("...i->...", (2, 3)),
    ("i...,i...->...", (3, 2), (3, 4, 2)), ("...ij,...jk->...ik", (4, 1, 2, 3), (5, 3, 2)), ("...,...->...", (), (2, 3)),
    ("ij,jk->ik", (2, 1), (3, 4)), ("ij,jk->ik", (1, 3), (3, 1)), ("bi,bi->b", (1, 3), (4, 3)), ("ij,ij->ij", (2, 1), (1, 3)),
    ("ij,k->k", (2, 3), (4,)), ("ij,jk->", (2, 3), (3, 4)), ("i,j->", (2,), (3,)), ("ijk,j->i", (2, 3, 4), (3,)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)), ("i,i,i->i", (3,), (3,), (3,)), ("ij,kj,j->ik", (2, 3), (4, 3), (3,)),
    ("i,j,k->", (2,), (3,), (2,)), (" i j , j -> i ", (2, 3), (3,)), ("ij,jk->ik", (0, 3), (3, 2)), ("ij,jk->ik", (2, 0), (0, 4)),
    ("aA,Ab->ab", (2, 3), (3, 2)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(map(str, case)).replace(" ", ""))
def test_value_and_gradients(case, numerical):
    subscripts, *shapes = case
    random = np.random.default_rng(3)
    xs = [random.normal(size=shape) for shape in shapes]
    f = lambda *xs: bprop.einsum(subscripts, *xs)
    y = f(*xs)
    assert_allclose(y, np.einsum(subscripts, *xs), rtol=1e-13, atol=1e-13)
    y_bar = random.normal(size=y.shape)
    x_dots = [random.normal(size=shape) for shape in shapes]
    _, y_dot = bprop.jvp(f, xs, x_dots)
    line = lambda t: [np.einsum(subscripts, *(x + t * d for x, d in zip(xs, x_dots, strict=True)))]
    assert_allclose(y_dot, numerical(line)[0], rtol=1e-9, atol=1e-9)
    x_bars = bprop.vjp(f, *xs)[1](y_bar)
    assert [x_bar.shape for x_bar in x_bars] == shapes
    inner = sum(float(np.sum(np.asarray(bar) * dot)) for bar, dot in zip(x_bars, x_dots, strict=True))
    assert_allclose(inner, np.sum(y_bar * np.asarray(y_dot)), rtol=1e-11, atol=1e-12)
    assert_allclose(bprop.trace(f)(*xs)(*xs)[0], y)
    axes = [i for i, shape in enumerate(shapes) if shape]
    if axes and y.size:
        batch = bprop.vmap(f, in_axes=tuple(0 if i == axes[0] else None for i in range(len(xs))))
        stacked = [np.stack([x, 2 * x]) if i == axes[0] else x for i, x in enumerate(xs)]
        assert_allclose(batch(*stacked)[1], 2 * np.asarray(y), rtol=1e-12, atol=1e-12)


def test_the_adjoint_of_a_contraction_is_a_contraction():
    graph = bprop.trace(bprop.grad(lambda x, w: bprop.sum(bprop.einsum("ij,kj->ik", x, w) ** 2), 1))(
        np.ones((2, 3)), np.ones((4, 3)))  # fmt: skip
    names = [node.op.name for node in graph.nodes]
    assert names.count("einsum") == 2  # the product and its adjoint; the one sum is the function's own
    assert names.count("sum") <= 1


@pytest.mark.parametrize(
    ("subscripts", "shapes", "words"),
    [
        ("ij,jk->ik", [(2, 3), (4, 5)], r"\(2, 3\) and \(4, 5\)"),
        ("ij->ik", [(2, 3)], "every output label"),
        ("ij->ii", [(2, 2)], "every output label"),
        ("ij,jk->ik", [(2, 3)], "2 terms for 1 operands"),
        ("ijk->i", [(2, 3)], r"operand 0 of shape \(2, 3\)"),
        ("ii->i", [(2, 3)], "label 'i' has sizes 2 and 3"),
        ("i1->i", [(2, 3)], "term 'i1'"),
    ],
)
def test_errors_name_operand_label_and_sizes(subscripts, shapes, words):
    with pytest.raises(bprop.ShapeError, match=words):
        bprop.einsum(subscripts, *map(np.ones, shapes))


def test_subscripts_come_first():
    with pytest.raises(bprop.ArgumentError, match="subscripts string"):
        bprop.einsum(np.ones(2), "i->i")
