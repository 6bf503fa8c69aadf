"""Forward mode leaves out what reverse mode leaves out: behind a selection a tangent is absent, not zero.

For every op of the registry one operand at a time is what a selection took: a constant where ops are special, or x. The
tangent of the constant is absent, whatever the slope there. Planted: `_selects` always false (all of the first test
fail whose op has a slope that is not finite); regions given tangents that are not seeds; ``replayed`` false for `Record`.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.core.family import Bilinear, Cumulative, Elementwise, Join, Linear, NoDerivative, Reduction, Selection
from bprop.core.op import REGISTRY
from bprop.diagnose.case import cases

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 5e-324, 1.7e308, np.inf, -np.inf, np.nan])
BY_ENTRY = [
    op
    for op in REGISTRY.values()
    if isinstance(op, Elementwise | Selection)
    and op.differentiable
    and getattr(op, "kind", "") not in ("bits", "integer")
]
WHOLE = [
    op
    for op in REGISTRY.values()
    if op.differentiable and isinstance(op, Reduction | Cumulative | Linear | Join | Bilinear)
]
SELECTIONS = {
    "where": lambda x, chosen, constant: bprop.where(chosen, x, constant),
    "where, turned": lambda x, chosen, constant: bprop.where(~chosen, constant, x),
    "maximum": lambda x, chosen, constant: bprop.maximum(x, np.where(chosen, -np.inf, constant)),
    "clip": lambda x, chosen, constant: bprop.clip(x, np.where(chosen, -np.inf, constant), np.inf),
    "max": lambda x, chosen, constant: bprop.max(bprop.stack([x, np.where(chosen, -np.inf, constant)]), axis=0),
}


def rules_of(op):
    return op.partials if isinstance(op, Elementwise) else op.tie_fractions


def differentiated_operands(op):
    return [place for place, rule in enumerate(rules_of(op)) if rule is not None and not isinstance(rule, NoDerivative)]


def grid(op, place):
    """All combinations of special operands twice: once with the operand at ``place`` taken from x, once not."""
    axes = np.meshgrid(*[SPECIAL] * len(rules_of(op)), indexing="ij")
    operands = [np.tile(axis.ravel(), 2) for axis in axes]
    if op.name == "where":
        operands[0] = operands[0] > 0
    chosen = np.arange(operands[place].size) >= operands[place].size // 2
    return operands, chosen


def applied(op, operands, place, select, chosen):
    _, params = next(iter(cases(op)))

    def f(x):
        constant = operands[place]
        return op(*operands[:place], select(x, chosen, constant), *operands[place + 1 :], **params)

    return f


@pytest.mark.parametrize("op", BY_ENTRY, ids=lambda op: op.name)
def test_an_absent_tangent_meets_no_slope(op):
    for place in differentiated_operands(op):
        operands, chosen = grid(op, place)
        f = applied(op, operands, place, SELECTIONS["where"], chosen)
        x = np.full(chosen.size, 0.7)
        ones = np.ones(x.size)
        pushed = lambda x, f=f, ones=ones: bprop.jvp(f, (x,), (ones,))[1]
        pulled = lambda x, f=f, ones=ones: bprop.vjp(f, x)[1](ones)[0]
        y_dot = np.asarray(pushed(x))
        assert not y_dot[~chosen].any()
        assert_array_equal(y_dot, pulled(x))
        assert_array_equal(y_dot, bprop.trace(pushed)(x)(x)[0])
        assert_array_equal(y_dot, bprop.linearize(f, x)[1](ones))


@pytest.mark.parametrize("op", BY_ENTRY, ids=lambda op: op.name)
def test_nor_in_a_second_derivative(op):
    """Forward and reverse, each over each."""
    total = lambda f: lambda x: bprop.sum(f(x))
    for place in differentiated_operands(op):
        operands, chosen = grid(op, place)
        f = applied(op, operands, place, SELECTIONS["where"], chosen)
        x, ones = np.full(chosen.size, 0.7), np.ones(chosen.size)
        slope = lambda x, f=f, ones=ones: bprop.jvp(f, (x,), (ones,))[1]
        gradient = bprop.grad(total(f), unreached="zeros")
        for second in (
            bprop.jvp(slope, (x,), (ones,))[1],
            bprop.jvp(gradient, (x,), (ones,))[1],
            bprop.grad(total(slope), unreached="zeros")(x),
            bprop.grad(total(gradient), unreached="zeros")(x),
        ):
            assert not np.asarray(second)[~chosen].any()


@pytest.mark.parametrize(
    "f",
    [lambda x: bprop.where(x > 0, x**1.5, 0), lambda x: (x**1.5)[1:]],
    ids=["where", "slice"],
)
def test_where_only_the_second_slope_is_infinite(f):
    """The gradient is finite at once, and what is differentiated again must still say what was absent."""
    x, ones = np.array([0.0, 4.0]), np.array([1.0, 1.0])
    total = lambda f: lambda x: bprop.sum(f(x))
    slope = lambda x: bprop.jvp(f, (x,), (ones,))[1]
    assert_array_equal(np.asarray(bprop.jvp(slope, (x,), (ones,))[1])[-1], 0.375)
    assert_array_equal(bprop.hvp(total(f), (x,), (ones,)), [0, 0.375])
    assert_array_equal(bprop.grad(total(slope))(x), [0, 0.375])
    assert_array_equal(bprop.grad(total(bprop.grad(total(f))))(x), [0, 0.375])


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize(
    ("f", "pole"), [(bprop.sqrt, 0), (bprop.log, 0), (bprop.acosh, 1)], ids=["sqrt", "log", "acosh"]
)
def test_behind_every_selection(name, f, pole):
    x = np.array([-1.0, 4.0])
    g = lambda x: f(SELECTIONS[name](x, np.array([False, True]), np.full(2, float(pole))))
    expected = np.array([0.0, bprop.grad(f)(4.0).item()])
    assert_allclose(bprop.jvp(g, (x,), (np.ones(2),))[1], expected)
    assert_allclose(bprop.compile(lambda x: bprop.jvp(g, (x,), (np.ones(2),))[1])(x), expected)


def relu_in(region):
    return {
        "plain": bprop.relu,
        "checkpoint": bprop.checkpoint(bprop.relu),
        "cond": lambda x: bprop.cond(bprop.sum(x) > 0, bprop.relu, lambda x: x, x),
        "scan": lambda x: bprop.scan(lambda c, x: (c, bprop.relu(x)), np.asarray(0.0), x)[1],
        "carry": lambda x: bprop.scan(lambda c, _: (bprop.relu(c), c), x, np.zeros(2))[0],
        "while": lambda x: bprop.while_loop(lambda c: c[1] < 2, lambda c: (bprop.relu(c[0]), c[1] + 1), (x, 0))[0],
        "jvp": bprop.custom(bprop.relu, jvp=lambda x_dot, y, x: bprop.where(x > 0, x_dot[0], 0)),
        "vjp": bprop.custom(bprop.relu, vjp=lambda y_bar, y, x: bprop.where(x > 0, y_bar, 0)),
        "embed": lambda x: bprop.zeros(2).at[1].set(x[1]),
        "concat": lambda x: bprop.concat([np.zeros(1), x[1:]]),
        "part": lambda x: bprop.concat([bprop.relu(x[:1]), x[1:]]),
        "parts": lambda x: bprop.stack([bprop.relu(x)[0], bprop.maximum(x[1], 0.0)]),
        "split": lambda x: bprop.concat(bprop.split(bprop.relu(x), 2)[::-1])[::-1],
    }[region]


@pytest.mark.parametrize(
    "region",
    [
        "plain",
        "checkpoint",
        "cond",
        "scan",
        "carry",
        "while",
        "jvp",
        "vjp",
        "embed",
        "concat",
        "part",
        "parts",
        "split",
    ],
)
def test_in_every_region_and_every_transform(region):
    f = lambda x: bprop.sqrt(relu_in(region)(x))
    x, ones, expected, second = np.array([-1.0, 4.0]), np.ones(2), [0, 0.25], [0, -0.03125]
    pushed = lambda x: bprop.jvp(f, (x,), (ones,))[1]
    assert_array_equal(pushed(x), expected)
    assert_array_equal(bprop.compile(pushed)(x), expected)
    assert_array_equal(bprop.linearize(f, x)[1](ones), expected)
    assert_array_equal(bprop.vmap(pushed)(x[None]), [expected])
    assert_array_equal(bprop.vmap(lambda x_dot: bprop.jvp(f, (x,), (x_dot,))[1])(ones[None]), [expected])
    assert_array_equal(bprop.jacobian(f, mode="forward")(x), np.diag(expected))
    total = lambda f: lambda x: bprop.sum(f(x))
    assert_array_equal(bprop.jvp(pushed, (x,), (ones,))[1], second)
    assert_array_equal(bprop.hvp(total(f), (x,), (ones,)), second)
    assert_array_equal(bprop.hessian(total(f))(x), np.diag(second))
    assert_array_equal(bprop.grad(total(pushed))(x), second)
    assert_array_equal(bprop.grad(total(bprop.grad(total(f))))(x), second)


@pytest.mark.parametrize("op", WHOLE, ids=lambda op: op.name)
def test_both_modes_agree_on_whole_arrays(op):
    for args, params in cases(op):
        for place, x in enumerate(args):
            if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or not 1 < x.size <= 6:
                continue
            chosen = np.arange(x.size).reshape(x.shape) % 2 == 0
            for special in (0.0, np.inf, np.nan):

                def f(x, special=special, place=place, args=args, params=params, chosen=chosen):
                    return op(*args[:place], bprop.where(chosen, x, special), *args[place + 1 :], **params)

                forward = np.asarray(bprop.jacobian(f, mode="forward")(x))
                assert_allclose(forward, bprop.jacobian(f)(x), rtol=1e-12, atol=1e-14)
                assert not forward[..., ~chosen].any()


def test_the_function_of_a_forward_jacobian_runs_once():
    """Its infinite slopes are found in the linear map, not by running it again: prints and draws happen once."""
    runs = []

    def f(x):
        runs.append(1)
        return bprop.sqrt(bprop.relu(x))

    assert_array_equal(bprop.jacobian(f, mode="forward")(np.array([-1.0, 4.0])), np.diag([0, 0.25]))
    assert_array_equal(bprop.jvp(f, (np.array([-1.0, 4.0]),), (np.ones(2),))[1], [0, 0.25])
    assert len(runs) == 2


def test_a_tangent_that_is_present_hides_nothing():
    assert np.isnan(bprop.jvp(lambda x: bprop.sqrt(x * 0), (4.0,), (1.0,))[1].item())  # 0 · inf
    assert np.isinf(bprop.jvp(lambda x: bprop.sqrt(bprop.maximum(x, -1.0)), (0.0,), (1.0,))[1].item())


def test_a_custom_rule_may_look_at_the_numbers_of_its_tangent():
    seen = []

    def rule(x_dots, y, x):
        seen.append(np.asarray(x_dots[0]).tolist())
        return x_dots[0] * 2

    doubled = bprop.custom(lambda x: 2 * x, jvp=rule)
    assert_array_equal(bprop.jvp(lambda x: doubled(bprop.relu(x)), (np.array([-1.0, 4.0]),), (np.ones(2),))[1], [0, 2])
    assert seen == [[0.0, 1.0]]
