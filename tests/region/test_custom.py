"""`custom`: one rule gives both modes, under every interpretation; wrong rules are caught."""

import numpy as np
import pytest

import bprop

X = np.array([0.3, -1.2, 2.0])


def true(x):
    return bprop.tanh(x) * x


def slope(x):
    return bprop.tanh(x) + x * (1 - bprop.tanh(x) ** 2)


by_vjp = bprop.custom(true, vjp=lambda y_bar, y, x: y_bar * slope(x))
by_jvp = bprop.custom(true, jvp=lambda x_dots, y, x: x_dots[0] * slope(x))


@pytest.mark.parametrize("f", [by_vjp, by_jvp], ids=["vjp given", "jvp given"])
@pytest.mark.parametrize(
    "derivative",
    [
        lambda f: bprop.grad(lambda x: bprop.sum(f(x)))(X),
        lambda f: bprop.jacobian(f, mode="forward")(X),
        lambda f: bprop.hessian(lambda x: bprop.sum(f(x)))(X),
        lambda f: bprop.vmap(bprop.grad(f))(X),
        lambda f: bprop.grad(lambda x: bprop.sum(bprop.vmap(f)(x)))(X),
        lambda f: bprop.trace(bprop.grad(lambda x: bprop.sum(f(x))))(X)(X)[0],
        lambda f: bprop.grad(lambda x: bprop.sum(bprop.trace(f)(X)(x)[0]))(X),
        lambda f: bprop.grad(bprop.checkpoint(lambda x: bprop.sum(f(x))))(X),
        lambda f: bprop.linearize(f, X)[1](X),
        lambda f: f(X),
    ],
)
def test_same_as_derived(f, derivative):
    np.testing.assert_allclose(np.asarray(derivative(f)), np.asarray(derivative(true)), rtol=1e-12)


def test_its_own_rule_is_used_everywhere():
    # a rule that is wrong on purpose: if any interpretation derived the function itself, the factor 3 would be missing
    f = bprop.custom(true, vjp=lambda y_bar, y, x: 3 * y_bar * slope(x))
    s = lambda x: bprop.sum(f(x))
    expected = 3 * np.asarray(slope(X))
    for found in (
        bprop.grad(s)(X),
        bprop.jacobian(s, mode="forward")(X),
        bprop.trace(bprop.grad(s))(X)(X)[0],
        bprop.vmap(bprop.grad(f))(X),
        bprop.grad(bprop.checkpoint(s))(X),
    ):
        np.testing.assert_allclose(found, expected)


def test_several_arguments_and_trees():
    f = bprop.custom(
        lambda p, x: {"y": p["a"] * x, "z": x},
        vjp=lambda bars, ys, p, x: ({"a": bars["y"] * x}, bars["y"] * p["a"] + bars["z"]),
    )
    g = lambda p, x: bprop.sum(f(p, x)["y"]) + bprop.sum(f(p, x)["z"])
    p_bar, x_bar = bprop.grad(g, (0, 1))({"a": X}, X)
    np.testing.assert_allclose(p_bar["a"], X)
    np.testing.assert_allclose(x_bar, X + 1)


def test_an_argument_without_cotangent():
    f = bprop.custom(lambda x, t: x * t, vjp=lambda y_bar, y, x, t: (y_bar * t, None))
    x_bar, t_bar = bprop.grad(lambda x, t: bprop.sum(f(x, t)), (0, 1), unreached="zeros")(X, X)
    np.testing.assert_allclose(x_bar, X)
    np.testing.assert_allclose(t_bar, 0)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({}, "one rule"),
        ({"vjp": lambda y_bar, y, x: y_bar[:1]}, r"shape \(1,\).*shape \(3,\)"),
        ({"vjp": lambda y_bar, y, x: (y_bar, y_bar)}, "2 cotangents for 1 arguments"),
    ],
)
def test_bad_rules_are_named(rules, message):
    with pytest.raises(bprop.BpropError, match=message):
        bprop.grad(lambda x: bprop.sum(bprop.custom(true, **rules)(x)))(X)


def test_closing_over_a_variable_is_an_error():
    def outer(w):
        return bprop.sum(bprop.custom(lambda x: x * w, vjp=lambda y_bar, y, x: y_bar * w)(bprop.asarray(X)))

    with pytest.raises(bprop.BpropError, match="argument"):
        bprop.grad(outer)(2.0)


@pytest.mark.parametrize(
    "derivative", [bprop.grad, lambda f: lambda x: bprop.jvp(f, (x,), (x,))], ids=["reverse", "forward"]
)
def test_a_rule_of_the_wrong_shape_is_named_by_either_mode(derivative):
    by_jvp = bprop.custom(bprop.sum, jvp=lambda x_dots, y, x: x_dots[0])
    by_vjp = bprop.custom(bprop.sum, vjp=lambda y_bar, y, x: y_bar)
    with pytest.raises(bprop.ShapeError, match=r"its jvp returned shape \(3,\) for value 0 of shape \(\)"):
        derivative(by_jvp)(X)
    with pytest.raises(bprop.ShapeError, match=r"its vjp returned shape \(\) for value 0 of shape \(3,\)"):
        derivative(by_vjp)(X)


def test_strings_functions_and_keywords_are_static():
    """Planted: keywords that the rule does not get; static arguments counted among the cotangents."""

    def f(x, mode, g, *, factor=1.0, dtype=np.float64):
        return bprop.astype(g(x), dtype) * factor if mode == "on" else x

    def vjp(y_bar, y, x, mode, g, *, factor=1.0, dtype=np.float64):
        return y_bar * (7.0 * factor if mode == "on" else 1.0)  # wrong on purpose, so that one sees whose rule it is

    def jvp(x_dots, y, x, mode, g, *, factor=1.0, dtype=np.float64):
        assert x_dots[1:] == (None, None)
        return x_dots[0] * (7.0 * factor if mode == "on" else 1.0)

    for own in (
        bprop.custom(f, vjp=vjp),
        bprop.custom(f, vjp=lambda *args, **options: (vjp(*args, **options), None, None)),
        bprop.custom(f, jvp=jvp),
    ):
        for mode, slope in (("on", 14.0), ("off", 1.0)):
            at = lambda x, own=own, mode=mode: own(x, mode, bprop.tanh, factor=2.0, dtype=np.dtype(np.float64))
            np.testing.assert_allclose(at(X), np.tanh(X) * 2 if mode == "on" else X)
            for derivative in (
                bprop.grad(lambda x, at=at: bprop.sum(at(x))),
                bprop.compile(bprop.grad(lambda x, at=at: bprop.sum(at(x)))),
                bprop.vmap(bprop.grad(at)),
                lambda x, at=at: bprop.jvp(at, (x,), (np.ones(3),))[1],
                lambda x, at=at: bprop.grad(lambda x: bprop.sum(bprop.vmap(at)(x)))(x),
            ):
                np.testing.assert_allclose(derivative(X), np.full(3, slope))
    with pytest.raises(bprop.ArgumentError, match=r"f: factor=… holds a value under a transform: pass it by position"):
        bprop.grad(lambda x: bprop.sum(own(x, "on", bprop.tanh, factor=x)))(X)
    with pytest.raises(bprop.ArgumentError, match=r"an argument is a Linear.*pass the arrays"):
        own(bprop.nn.Linear(1, 1), "on", bprop.tanh)
    bad = bprop.custom(f, vjp=lambda y_bar, y, x, mode, g: (y_bar, None))
    with pytest.raises(bprop.ArgumentError, match=r"its vjp returned 2 cotangents for 3 arguments"):
        bprop.grad(lambda x: bprop.sum(bad(x, "on", bprop.tanh)))(X)
