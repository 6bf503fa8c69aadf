"""The checker is checked: it catches what is wrong, is silent about what is right and says what it cannot know."""

import numpy as np
import pytest

import bprop
from bprop.core.cell import Cell
from bprop.core.family import Elementwise
from bprop.core.op import REGISTRY
from bprop.diagnose import check
from bprop.diagnose.case import cases

X = np.array([0.3, -1.2, 2.5])


@pytest.fixture
def op():
    """Declare an op for one test only."""
    made = []

    def declare(name, *rest, **options):
        made.append(name)
        return Elementwise(name, *rest, **options)

    yield declare
    for name in made:
        del REGISTRY[name]


@pytest.mark.parametrize("wrong", [0.0005, -0.0005, 0.01, 1.0, -2.0])
def test_a_derivative_wrong_by_half_a_thousandth_is_caught(op, wrong):
    bad = op(
        "almost_sin",
        np.sin,
        lambda y, x: (1 + wrong) * bprop.sqrt(1 - bprop.square(y)) * bprop.sign(1.5 - bprop.abs(x)),
    )
    report = check(lambda x: bprop.sum(bad(x)), np.array([0.3, -1.2, 1.0]))
    assert [entry.verdict for entry in report.entries] == ["disagree"] * 3
    assert not report.ok
    assert not report


def test_the_same_op_without_the_fault_agrees(op):
    good = op("right_sin", np.sin, lambda y, x: bprop.sqrt(1 - bprop.square(y)))
    assert check(lambda x: bprop.sum(good(x)), np.array([0.3, -1.2, 1.0])).count("agree") == 3


def test_a_fault_in_one_entry_of_many_is_found():
    scale = np.array([1.0, 1.0005, 1.0])
    f = lambda x: bprop.sum(bprop.exp(x) + bprop.stop_gradient(bprop.exp(x)) * 0 + _tilted(x, scale))
    report = check(f, X)
    assert [entry.verdict for entry in report.entries] == ["agree", "disagree", "agree"]


def _tilted(x, scale):
    """x ** 3 whose derivative is multiplied by ``scale``."""
    cube = x * x * x
    return cube * scale + bprop.stop_gradient(cube * (1 - scale))


def test_missing_derivatives_disagree():
    report = check(lambda x: bprop.sum(x * bprop.stop_gradient(x)), X)
    assert report.count("disagree") == 3
    assert check(lambda x: bprop.stop_gradient(x) * 2.0, 1.0).count("disagree") == 1


def test_sides_are_labelled():
    (entry,) = check(lambda x: x * bprop.stop_gradient(x), 3.0).entries
    assert entry.reverse == 3.0
    assert entry.numerical == pytest.approx(6.0)
    text = str(check(lambda x: x * bprop.stop_gradient(x), 3.0))
    assert "0 agree, 1 disagree, 0 undecidable" in text
    assert "reverse 3 " in text
    assert "numerical 6 ±" in text
    assert "∂y/∂x" in text


@pytest.mark.parametrize(
    ("f", "x", "word"),
    [
        (bprop.abs, 0.0, "kink: slopes -1 and 1"),
        (bprop.relu, 0.0, "kink: slopes 0 and 1"),
        (bprop.max, np.array([2.0, 2.0]), "kink"),
        (lambda x: bprop.maximum(x, 2.0), 2.0, "kink"),
        (bprop.sqrt, 0.0, "not finite"),
        (bprop.log, -1.0, "not finite"),
        # 1e12 swamps what x does: the numbers show nothing
        (lambda x: 1e12 + 1e-6 * bprop.tanh(x), 0.5, "too inexact"),
    ],
)
def test_undecidable_is_not_wrong(f, x, word):
    report = check(f, x)
    assert {entry.verdict for entry in report.entries} == {"undecidable"}
    assert word in str(report)
    assert report.ok


@pytest.mark.parametrize("x", [1e-6, 1e-3, 1.0, 1e3, 1e6, -1e-9])
def test_right_derivatives_agree_at_every_scale(x):
    for f in (lambda x: x * x, bprop.relu, bprop.abs, lambda x: 5 * x + 1, lambda x: bprop.log(bprop.abs(x))):
        report = check(f, x)
        assert report.count("agree") == 1, report


def test_every_entry_of_trees_results_and_arguments():
    def f(p, x):
        return {"y": p["w"] @ x, "n": bprop.sum(p["b"] ** 2), "k": bprop.arange(2)}

    p = {"w": np.arange(6.0).reshape(2, 3), "b": np.array([1.0, 2.0])}
    report = check(f, p, X, argnums=(0, 1))
    assert len(report.entries) == 3 * (6 + 2 + 3)
    assert report.count("agree") == len(report.entries)
    assert "and 13 more" in str(report)


def test_cells_of_a_module_are_checked_and_left_as_they_were():
    class Model:
        def __init__(self):
            self.weight = Cell(bprop.asarray([1.0, 2.0]), "weight", trainable=True)
            self.count = Cell(bprop.zeros(()), "count")

        def cells(self):
            return {"count": self.count, "weight": self.weight}

        def __call__(self, x):
            self.count.write(self.count.read() + 1)
            return bprop.sum(bprop.exp(self.weight.read()) * x)

    model = Model()
    report = check(lambda m: m(np.array([1.0, -2.0])), model)
    assert [entry.argument for entry in report.entries] == ["x.weight[0]", "x.weight[1]"]
    assert report.count("agree") == 2
    assert model.count.array.item() == 0
    assert model.weight.array.tolist() == [1, 2]


def test_float32_knows_its_limits():
    x = X.astype(np.float32)
    report = check(lambda x: bprop.sum(bprop.tanh(x) * x), x)
    assert report.count("agree") == 3
    assert check(lambda x: bprop.sum(bprop.stop_gradient(x) * x), x).count("disagree") == 3


def test_where_with_an_infinite_branch_agrees():
    assert check(lambda x: bprop.sum(bprop.where(x > 0, bprop.sqrt(x), 0)), X).count("agree") == 3


def test_nothing_to_check_and_wrong_questions():
    assert check(lambda x: x, np.zeros((0, 2))).ok
    with pytest.raises(bprop.DTypeError, match="float"):
        check(lambda x: x * 1.0, np.arange(3))
    with pytest.raises(bprop.ArgumentError, match="argument 2"):
        check(lambda x: x, 1.0, argnums=2)
    for f, returned in ((lambda x: x > 0, r"bool\[\]"), (lambda x: [], "no arrays")):
        with pytest.raises(
            bprop.DTypeError, match=rf"check of <lambda>: the function returned {returned}: let it return a float"
        ):
            check(f, 1.0)


def test_a_custom_function_with_a_wrong_derivative_is_caught():
    wrong = bprop.custom(bprop.square, jvp=lambda x_dots, y, x: 2.001 * x * x_dots[0])
    right = bprop.custom(bprop.square, jvp=lambda x_dots, y, x: 2.0 * x * x_dots[0])
    assert check(lambda x: bprop.sum(wrong(x)), X).count("disagree") == 3
    assert check(lambda x: bprop.sum(right(x)), X).count("agree") == 3


@pytest.mark.parametrize(
    "name", [op.name for op in REGISTRY.values() if isinstance(op, Elementwise) and op.differentiable]
)
def test_agrees_with_the_library(name):
    op = REGISTRY[name]
    args, params = next(call for call in cases(op) if np.shape(call[0][0]) == (2, 3))
    report = check(lambda *xs: op(*xs, **params), *args, argnums=tuple(range(len(args))))
    assert report.count("disagree") == 0, report
    if params.get("dtype", np.dtype(float)) == np.float64:
        assert report.count("agree") == len(report.entries), report
