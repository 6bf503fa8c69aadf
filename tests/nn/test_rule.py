"""Handwritten backward passes against the derived ones, eager and under every transform."""

import numpy as np
import pytest

import bprop
from bprop import nn
from support.comparison import assert_trees_close

N, IN, OUT = 4, 3, 2
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, IN)) * 2
LABELS = np.array([0, 2, 1, 1])
PROBABILITIES = RNG.dirichlet(np.ones(IN), size=N)


def derived(kind):
    """The same formula without its handwritten rule."""

    class Derived(kind):
        def fprop(self, *inputs):
            return kind._formula(self, *inputs)

    assert Derived._rule is None
    assert kind._rule is not None
    return Derived


CASES = {
    "Linear": (nn.Linear, (IN, OUT, np.float64), {"seed": 1}, (X,)),
    "Linear without a batch": (nn.Linear, (IN, OUT, np.float64), {"seed": 1}, (X[0],)),
    "Linear with two leading axes": (nn.Linear, (IN, OUT, np.float64), {"seed": 1}, (X.reshape(2, 2, IN),)),
    "Sigmoid": (nn.Sigmoid, (), {}, (X,)),
    "Tanh": (nn.Tanh, (), {}, (X,)),
    "HardTanh": (nn.HardTanh, (), {}, (X,)),
    "SquaredError": (nn.SquaredError, (), {}, (X, X[::-1].copy())),
    "SquaredError, sum": (nn.SquaredError, ("sum",), {}, (X, X[::-1].copy())),
    "SquaredError, one axis": (nn.SquaredError, (), {}, (X[0], X[1])),
    "BinaryCrossEntropy": (nn.BinaryCrossEntropy, (), {}, (X, PROBABILITIES)),
    "CrossEntropy, labels": (nn.CrossEntropy, (), {}, (X, LABELS)),
    "CrossEntropy, sum": (nn.CrossEntropy, ("sum",), {}, (X, LABELS)),
    "CrossEntropy, probabilities": (nn.CrossEntropy, (), {}, (X, PROBABILITIES)),
    "CrossEntropy, weights that do not sum to 1": (nn.CrossEntropy, (), {}, (X, 3 * PROBABILITIES + 1)),
    "CrossEntropy, two leading axes": (nn.CrossEntropy, (), {}, (X.reshape(2, 2, IN), LABELS.reshape(2, 2))),
    "CrossEntropy, one example": (nn.CrossEntropy, (), {}, (X[0], np.int64(2))),
}


def pair(name):
    kind, args, options, inputs = CASES[name]
    return kind(*args, **options), derived(kind)(*args, **options), inputs


@pytest.mark.parametrize("name", CASES)
class TestRule:
    def test_bprop_is_the_derived_one(self, name):
        written, plain, inputs = pair(name)
        assert_trees_close(written.fprop(*inputs), plain.fprop(*inputs))
        y_bar = np.asarray(RNG.normal(size=written(*inputs).shape))
        assert_trees_close(written.bprop(y_bar), plain.bprop(y_bar))
        if isinstance(written, nn.Linear):
            assert_trees_close(written.gradients(), plain.gradients())

    def test_gradients_are_the_derived_ones(self, name):
        written, plain, inputs = pair(name)
        floats = [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]

        def sums(module):
            def f(m, *xs):
                return bprop.sum(bprop.tanh(m(*xs)))

            numbers = [i + 1 for i in floats]
            if isinstance(module, nn.Linear):
                return bprop.grad(f, (0, *numbers))(module, *inputs)
            return bprop.grad(lambda *xs: f(module, *xs), floats)(*inputs)

        assert_trees_close(sums(written), sums(plain))

    def test_jvp_and_hvp_are_the_derived_ones(self, name):
        written, plain, inputs = pair(name)
        rest = inputs[1:]
        x_dot = RNG.normal(size=inputs[0].shape)

        def both(module):
            y = bprop.jvp(lambda x: module(x, *rest), (inputs[0],), (x_dot,))
            h = bprop.hvp(lambda x: bprop.sum(module(x, *rest) ** 2), (inputs[0],), (x_dot,))
            return [*y, h]

        assert_trees_close(both(written), both(plain))

    def test_checkpoint_changes_nothing(self, name):
        written, _, inputs = pair(name)
        rest = inputs[1:]

        def f(x):
            return bprop.sum(written(x, *rest) ** 2)

        assert_trees_close(bprop.grad(bprop.checkpoint(f))(inputs[0]), bprop.grad(f)(inputs[0]))

    def test_finite_differences_agree(self, name):
        written, _, inputs = pair(name)
        rest = inputs[1:]
        if name == "HardTanh":
            assert np.abs(np.abs(inputs[0]) - 1).min() > 1e-3  # no entry near a kink

        def f(x):
            return bprop.sum(bprop.tanh(written(x, *rest)))

        g = np.asarray(bprop.grad(f)(inputs[0]))
        d, h = RNG.normal(size=g.shape), 1e-6
        slope = (float(f(inputs[0] + h * d)) - float(f(inputs[0] - h * d))) / (2 * h)
        assert np.sum(g * d) == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_compiled_rules_are_the_evaluated_ones():
    for name in ("Linear", "Sigmoid", "Tanh", "HardTanh", "SquaredError", "CrossEntropy, labels", "BinaryCrossEntropy"):
        written, _, inputs = pair(name)

        def f(x, written=written, rest=inputs[1:]):
            return bprop.grad(lambda x: bprop.sum(bprop.tanh(written(x, *rest))))(x)

        from bprop.compile import compile

        assert_trees_close(compile(f)(inputs[0]), f(inputs[0]))


def test_vmap_over_examples_gives_per_example_gradients():
    model = nn.Sequential(nn.Linear(IN, 5, np.float64, seed=0), nn.Tanh(), nn.Linear(5, IN, np.float64, seed=1))
    loss = nn.CrossEntropy("sum")

    def f(x, t):
        return bprop.grad(lambda m: loss(m(x), t))(model)

    each = bprop.vmap(f)(X, LABELS)
    whole = bprop.grad(lambda m: loss(m(X), LABELS))(model)
    for path, g in whole.items():
        np.testing.assert_allclose(np.asarray(each[path]).sum(axis=0), np.asarray(g), atol=1e-12)
    alone = f(X[1], LABELS[1])
    assert_trees_close({path: g[1] for path, g in each.items()}, alone)


def test_wrong_rule_changes_the_gradient():
    class Doubled(nn.Tanh):
        def bprop(self, y_bar):
            return 2 * super().bprop(y_bar)

    right, wrong = nn.Tanh(), Doubled()
    g = [np.asarray(bprop.grad(lambda x, m=m: bprop.sum(m(x)))(X)) for m in (right, wrong)]
    np.testing.assert_allclose(g[1], 2 * g[0])
    wrong.fprop(X)
    np.testing.assert_allclose(np.asarray(wrong.bprop(np.ones_like(X))), g[1])


def test_wrong_rule_inside_a_container_changes_value_and_grad():
    class Forgetful(nn.Linear):
        def bprop(self, y_bar):
            x_bar = super().bprop(y_bar)
            self.W_bar = 0 * self.W
            return x_bar

    model = nn.Sequential(Forgetful(IN, IN, np.float64, seed=0), nn.Tanh())
    _, gradients = bprop.value_and_grad(lambda m: bprop.sum(m(X)))(model)
    assert not np.asarray(gradients["layers.0.W"]).any()
    right = nn.Sequential(nn.Linear(IN, IN, np.float64, seed=0), nn.Tanh())
    _, expected = bprop.value_and_grad(lambda m: bprop.sum(m(X)))(right)
    assert_trees_close(gradients["layers.0.b"], expected["layers.0.b"])


def test_rule_may_add_to_a_gradient():
    class Penalised(nn.Linear):
        def bprop(self, y_bar):
            x_bar = super().bprop(y_bar)
            self.W_bar += self.W
            return x_bar

    plain, penalised = (kind(IN, OUT, np.float64, seed=0) for kind in (nn.Linear, Penalised))
    g, h = (bprop.grad(lambda m: bprop.sum(m(X)))(module) for module in (plain, penalised))
    assert_trees_close(h["W"], g["W"] + plain.W)


def test_saturated_units_keep_their_digits():
    x = np.array([-90.0, -20.0, 20.0, 40.0, 90.0])
    for module, exact in ((nn.Sigmoid(), np.exp(-np.abs(x))), (nn.Tanh(), 4 * np.exp(-2 * np.abs(x)))):
        module.fprop(x)
        np.testing.assert_allclose(np.asarray(module.bprop(np.ones(5))), exact, rtol=1e-7)


def test_hard_tanh_stops_infinite_cotangents():
    module = nn.HardTanh()
    module.fprop(np.array([2.0, 0.0]))
    assert module.bprop(np.array([np.inf, 1.0])).tolist() == [0.0, 1.0]


# --- what a rule of one's own may do, and what it may not forget ---
def test_super_fprop_is_the_formula_of_the_base_class():
    class Twice(nn.Linear):
        def fprop(self, x):
            return 2 * super().fprop(x)

    class Residual(nn.Sequential):
        def fprop(self, x):
            return x + super().fprop(x)

    once = nn.Linear(IN, OUT, np.float64, seed=0)
    twice = Twice(IN, OUT, np.float64, seed=0)
    assert_trees_close(twice(X), 2 * once(X))
    assert_trees_close(bprop.grad(lambda m: bprop.sum(m(X)))(twice), bprop.grad(lambda m: 2 * bprop.sum(m(X)))(once))
    residual = Residual(nn.Linear(IN, IN, np.float64, seed=0), nn.Tanh())
    residual.fprop(X)
    residual.bprop(np.ones_like(X))
    assert_trees_close(residual.gradients(), bprop.grad(lambda m: bprop.sum(m(X)))(residual))
    assert_trees_close(bprop.compile(lambda m, x: m(x))(residual, X), residual(X))


class Centred(nn.Module):
    """x - running mean, with a scale and a rule by hand."""

    def __init__(self):
        self.mean = nn.state(np.zeros(IN))
        self.count = nn.state(np.int64(0))
        self.s = nn.parameter(np.ones(IN))

    def fprop(self, x):
        self.mean = 0.9 * self.mean + 0.1 * bprop.mean(x, axis=0)
        self.count = self.count + 1
        return (x - self.mean) * self.s

    def bprop(self, y_bar):
        self.s_bar = bprop.sum(y_bar * (self.x - self.mean), axis=0)
        return 5 * y_bar * self.s


def test_a_module_with_a_rule_may_have_state():
    def run(f):
        module = Centred()
        result = [f(module) for _ in range(2)][-1]
        return result, module.mean, module.count

    def layerwise(module):
        module.fprop(X)
        module.bprop(np.ones_like(X))
        return module.gradients()

    def transformed(module):
        return bprop.grad(lambda m: bprop.sum(m(X)))(module)

    expected = run(layerwise)
    assert_trees_close(run(transformed), expected)
    assert_trees_close(run(bprop.compile(transformed)), expected)
    assert_trees_close(bprop.jvp(Centred(), (X,), (X,))[1], 5 * X)


def test_inputs_that_are_no_arrays_pass_a_rule():
    class Scaled(nn.Module):
        def fprop(self, x, kind=None):
            return 2 * x if kind is None else 3 * x

        def bprop(self, y_bar):
            return y_bar * (2 if self.inputs[1] is None else 3)

    for kind, slope in ((None, 2), ("three", 3)):
        assert_trees_close(
            bprop.grad(lambda x, kind=kind: bprop.sum(Scaled()(x, kind)))(X), np.full(X.shape, float(slope))
        )


def both_ways(module):
    def layerwise():
        module.fprop(X)
        module.bprop(np.ones_like(X))

    return layerwise, lambda: bprop.grad(lambda x, m: bprop.sum(m(x)), (0, 1))(X, module)


def test_a_rule_that_forgets_something_is_named():
    class Scale(nn.Module):
        def __init__(self):
            self.s = nn.parameter(np.ones(IN))

        def fprop(self, x):
            return x * self.s

    class NoParameter(Scale):
        def bprop(self, y_bar):
            return y_bar * self.s

    class NoReturn(Scale):
        def bprop(self, y_bar):
            self.s_bar = bprop.sum(y_bar * self.x, axis=0)

    class WrongShape(Scale):
        def bprop(self, y_bar):
            self.s_bar = bprop.sum(y_bar * self.x, axis=0)
            return y_bar[0]

    class SameNumberOfAxes(Scale):
        def bprop(self, y_bar):
            self.s_bar = bprop.sum(y_bar * self.x, axis=0)
            return y_bar[:1]

    for kind, error, text in (
        (SameNumberOfAxes, bprop.ShapeError, r"x_bar of shape \(1, 3\), x has shape \(4, 3\)"),
        (NoParameter, bprop.ArgumentError, "left no s_bar"),
        (NoReturn, bprop.ArgumentError, "returned None"),
        (WrongShape, bprop.ShapeError, r"x_bar of shape \(3,\), x has shape \(4, 3\)"),
    ):
        for run in both_ways(kind()):
            with pytest.raises(error, match=text):
                run()


def test_a_rule_over_modules_inside_says_that_it_composes():
    class Pair(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Linear(IN, IN, np.float64, seed=0), nn.Tanh()

        def fprop(self, x):
            return self.second.fprop(self.first.fprop(x))

        def bprop(self, y_bar):
            return self.first.bprop(self.second.bprop(y_bar))

    with pytest.raises(bprop.ArgumentError, match=r"gradient for first\.W.*composes = True"):
        bprop.grad(lambda m: bprop.sum(m(X)))(Pair())
    Pair.composes = True
    module = Pair()
    module.fprop(X)
    module.bprop(np.ones_like(X))
    assert_trees_close(module.gradients(), bprop.grad(lambda m: bprop.sum(m(X)))(module))


class Kept(nn.Module):
    """y = w tanh(x)², whose rule reads w x-dependent intermediates that fprop kept."""

    def __init__(self):
        self.w = nn.parameter(np.array([1.5, -0.5, 2.0]))

    def fprop(self, x):
        z = bprop.tanh(x)
        self.keep(z=z, wz=self.w * z)
        return self.w * z * z

    def bprop(self, y_bar):
        self.w_bar = bprop.sum(y_bar * self.z**2, axis=0)
        return y_bar * 2 * self.wz * (1 - self.z**2)


@pytest.mark.parametrize(
    "second",
    [
        lambda f, x: bprop.grad(lambda x: bprop.sum(bprop.grad(f)(x) * bprop.cos(x)))(x),
        lambda f, x: bprop.jvp(bprop.grad(f), (x,), (np.cos(x),))[1],
        lambda f, x: bprop.vmap(lambda x: bprop.hessian(f)(x[None]))(x),
        lambda f, x: bprop.compile(lambda x: bprop.hessian(f)(x))(x),
        lambda f, x: bprop.grad(lambda x: bprop.sum(bprop.hessian(f)(x) ** 2))(x[:2]),
    ],
    ids=["reverse over reverse", "forward over reverse", "hessian under vmap", "compiled hessian", "third order"],
)
def test_what_fprop_keeps_has_a_derivative_too(second):
    """A rule that is itself differentiated: what it reads of `keep` depends on x and on the parameters."""
    results = []
    for kind in (Kept, derived(Kept)):
        module = kind()
        results.append(second(lambda x, module=module: bprop.sum(module(x) ** 2), X))
        mixed = bprop.grad(lambda module: bprop.sum(bprop.grad(lambda x: bprop.sum(module(x) ** 2))(X) ** 2))
        results.append(mixed(module))
    assert_trees_close(results[:2], results[2:])
