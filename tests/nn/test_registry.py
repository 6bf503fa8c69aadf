"""Every module, by being in bprop.nn: against PyTorch, against itself by other ways, and at the ends of the numbers."""

import inspect

import numpy as np
import pytest

import bprop
from bprop import nn
from support.comparison import assert_trees_close
from support.module_example import (
    ATTENTION,
    EXAMPLES,
    RECORDED,
    RECURRENT,
    X,
    check_compiled,
    cotangent,
    inputs_of,
    layerwise,
    make,
    smooth,
    transformed,
)

PYTORCH = RECORDED["cases"]


def test_every_module_has_an_example():
    """Of real inputs: the embedding takes ids, and test_embedding.py has its tests."""
    kinds = {
        name
        for name, kind in vars(nn).items()
        if inspect.isclass(kind) and issubclass(kind, nn.Module) and not issubclass(kind, nn.Loss)
    }
    elsewhere = {"Module", "LSTMCell", "Embedding", "TransformerDecoderBlock"}  # of several inputs, or of ids
    assert kinds - elsewhere == {name.partition(",")[0] for name in EXAMPLES}


def test_numbers_are_those_of_pytorch(example):
    if example not in PYTORCH:
        pytest.skip("PyTorch has no such module, or other random numbers")
    recorded, module = PYTORCH[example], make(example)
    bars = [f"{name}_bar" for name in recorded["parameters"]]
    found = layerwise(module, inputs_of(example))
    expected = [np.array(recorded[key]) for key in ("y", "x_bar", *bars)]
    assert_trees_close(
        found, [one.reshape(own.shape) for one, own in zip(expected, found, strict=True)], rtol=1e-12, atol=1e-13
    )


def test_only_what_differs_from_pytorch_for_a_reason_has_no_record():
    recurrent = {"RNN", "LSTM", "GRU", "RNNCell", "RNNCell, relu", "GRUCell"}  # recorded in pytorch_recurrent.json
    transformers = {"MultiHeadAttention", "FeedForward", "TransformerEncoderBlock"}  # in pytorch_attention.json
    tested_by_file = ("Norm", "Positions", "Upsample", "Conv", "Pool")  # over grids of options
    unrecorded = {name for name in EXAMPLES if name not in PYTORCH and not any(kind in name for kind in tested_by_file)}
    assert unrecorded - recurrent - transformers == {
        "RReLU, training",
        "Dropout, training",
        "Sequential, names",
        "Parallel, first axis",
        "Residual, shortcut",
        "Residual, activation",
        "Dropout1d, training",
        "Dropout2d, training",
        "Reshape",
    }


def test_bprop_is_reverse_mode(example):
    assert_trees_close(layerwise(make(example), inputs_of(example)), transformed(make(example), inputs_of(example)))


def test_a_handwritten_bprop_is_the_derived_one(example):
    module = make(example)
    kind = type(module)
    if kind._rule is None or kind.composes:
        pytest.skip("nothing is written by hand, or only calls of the modules inside")
    plain = type(kind.__name__, (kind,), {"fprop": lambda self, *inputs: kind._formula(self, *inputs)})
    assert plain._rule is None
    derived = make(example)
    derived.__class__ = plain
    assert_trees_close(layerwise(module, smooth(example)), layerwise(derived, smooth(example)))


def test_gradients_are_the_slopes(example, numerical):
    x = smooth(example)
    y, x_bar, *_ = layerwise(make(example), x)
    direction = np.sin(1 + np.arange(x.size)).reshape(x.shape)

    def along(h):
        return [np.sum(np.asarray(make(example)(x + h * direction)) * cotangent(y.shape))]

    assert numerical(along, step=0.002)[0] == pytest.approx(np.sum(x_bar * direction), rel=1e-9, abs=1e-9)


def test_parameter_gradients_are_the_slopes(example, numerical):
    module, x = make(example), smooth(example)
    y, _, *bars = layerwise(module, x)
    values = {path: np.asarray(value) for path, value in module.parameters().items()}
    directions = {path: np.sin(2 + np.arange(value.size)).reshape(value.shape) for path, value in values.items()}

    def along(h):
        moved = {path: value + h * directions[path] for path, value in values.items()}
        module.load_state_dict({**module.state_dict(), **moved})
        return [np.sum(np.asarray(module(x)) * cotangent(y.shape))]

    if values:
        slope = sum(np.sum(bar * directions[path]) for bar, path in zip(bars, values, strict=True))
        assert numerical(along, step=0.002)[0] == pytest.approx(slope, rel=1e-9, abs=1e-9)


def test_single_precision(example):
    x = smooth(example)
    double = layerwise(make(example), x)
    single = layerwise(make(example, np.float32), x.astype(np.float32))
    assert {one.dtype for one in single} == {np.dtype(np.float32)}
    if "training" in example:  # other bits for another dtype
        return
    assert_trees_close(single, double, rtol=3e-5, atol=3e-5)


def test_compiled_is_eager(example):
    check_compiled(example)


def test_within_a_sequential(example):
    inner = make(example)
    model = nn.Sequential(nn.Identity(), inner)
    assert_trees_close(layerwise(model, inputs_of(example)), layerwise(make(example), inputs_of(example)))
    assert [path.removeprefix("layers.1.") for path in model.parameters()] == list(make(example).parameters())
    wrapped = nn.Sequential(nn.Identity(), make(example))
    assert_trees_close(transformed(wrapped, inputs_of(example)), transformed(make(example), inputs_of(example)))


def test_repr_names_it(example):
    module = make(example)
    assert repr(module).startswith(f"{type(module).__name__}(")
    assert "object at" not in repr(module)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_overflows(example, dtype):
    x = np.linspace(-1000, 1000, 18).reshape(inputs_of(example).shape).astype(dtype)
    with np.errstate(all="raise", under="ignore"):
        for way in (layerwise, transformed):
            assert all(np.isfinite(one).all() for one in way(make(example, dtype), x))


KINKS = {
    "HardTanh": {-1.0: 0, 1.0: 0}, "HardTanh, other ends": {-2.0: 0, 0.5: 0}, "ReLU": {0.0: 0}, "ReLU6": {0.0: 0, 6.0: 0},
    "LeakyReLU": {0.0: 0.01}, "PReLU": {0.0: 0.25}, "RReLU": {0.0: 0.2}, "ELU": {0.0: 1}, "ELU, alpha": {0.0: 0.5},
    "SELU": {0.0: nn.SELU.scale * nn.SELU.alpha}, "CELU": {0.0: 1}, "HardSigmoid": {-3.0: 0, 3.0: 0},
    "HardSwish": {-3.0: 0, 3.0: 1}, "Threshold": {1.0: 0}, "SoftShrink": {-0.5: 0, 0.5: 0},
    "HardShrink": {-0.5: 0, 0.5: 0}, "Softsign": {0.0: 1},
}  # fmt: skip


@pytest.mark.parametrize("name", KINKS)
def test_the_slope_at_a_kink(name):
    """Of the constant side, or of the side of the negative numbers; the next number to it has the slope of its own side."""
    x = np.array(list(KINKS[name]))
    expected = np.array(list(KINKS[name].values()))
    for found in (layerwise(make(name), x, np.ones(x.size)), transformed_alone(make(name), x)):
        np.testing.assert_allclose(found[1], expected, rtol=1e-15)


def transformed_alone(module, x):
    y, pull = bprop.vjp(module, x)
    return y, np.asarray(pull(np.ones(x.size))[0])


def test_nan_stays_in_its_example(example):
    """A NaN in one example of the batch does not reach the others."""
    if (
        example in {"Softmax, first axis", "Parallel, first axis", "BatchNorm1d, training", *RECURRENT, *ATTENTION}
        or "PReLU" in example
    ):
        return  # these join the examples, or sum over them on the way back
    x = smooth(example)
    if x.shape != X.shape:
        return
    clean = layerwise(make(example), x)
    x = x.copy()
    x[1, 2] = np.nan
    y, x_bar = layerwise(make(example), x)[:2]
    for found, expected in ((y, clean[0]), (x_bar, clean[1])):
        np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]], rtol=1e-12)
    assert np.isnan(y[1]).any() or example in ("Dropout, training", "Threshold")


def test_training_and_evaluation(example):
    module, x = make(example), smooth(example)
    assert all(not inner.training for _, inner in module.eval().modules())
    first = layerwise(module, x)
    assert_trees_close(layerwise(module, x), first)  # nothing random in evaluation
    assert all(inner.training for _, inner in module.train().modules())
    if "training" in example:
        assert not np.array_equal(np.asarray(module(x)), first[0])
    elif example not in ("Dropout", "Dropout1d", "Dropout2d", "RReLU", "BatchNorm1d", "BatchNorm2d"):
        assert np.array_equal(np.asarray(module(x)), first[0])


def test_integers_and_lists_are_taken(example):
    x = np.arange(18).reshape(inputs_of(example).shape)
    expected = np.asarray(make(example)(x.astype(np.float64)))
    if "training" not in example:
        np.testing.assert_allclose(np.asarray(make(example)(x), np.float64), expected, rtol=1e-6)
        np.testing.assert_allclose(np.asarray(make(example)((1.0 * x).tolist())), expected, rtol=1e-12)


def test_state_goes_from_one_to_another(example):
    first, second = make(example), EXAMPLES[example](np.float64)
    second.load_state_dict(first.state_dict())
    assert list(first.state_dict()) == list(first.cells())
    assert_trees_close([np.asarray(first(smooth(example)))], [np.asarray(second(smooth(example)))])


def entrywise(example):
    """Whether an entry of y depends on that of x alone, and not on chance."""
    if example.endswith("training") or example == "PReLU, channels":  # one channel has a slope of 0, and 0 · ∞ is NaN
        return False
    x, module = smooth(example), make(example)
    if module(x).shape != x.shape:
        return False
    J = np.asarray(bprop.jacobian(module)(x)).reshape(x.size, x.size)
    return np.array_equal(J != 0, np.diag(np.diag(J) != 0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [name for name in EXAMPLES if entrywise(name)])
def test_at_infinity_value_and_slope_are_their_limits(name, dtype):
    """The limits are those of a number so large that nothing changes any more; planted: x · tanh(softplus(x)) for Mish."""
    module = make(name, dtype)
    ways = {
        "layerwise": lambda x: layerwise(module, x, np.ones(x.shape, dtype))[:2],
        "reverse": lambda x: (module(x), bprop.grad(lambda x: bprop.sum(module(x)))(x)),
        "forward": lambda x: bprop.jvp(module, (x,), (np.ones(x.shape, dtype),)),
    }
    if name in ("Mish", "Softsign"):  # the others are ops, whose native code has tests of its own
        ways["compiled"] = bprop.compile(ways["reverse"])
    for sign in (-1, 1):
        far, infinite = (np.full(inputs_of(name).shape, sign * size, dtype) for size in (1e30, np.inf))
        for way, run in ways.items():
            limits = [np.where(np.abs(one) > 1e10, np.sign(one) * np.inf, one) for one in map(np.asarray, run(far))]
            for actual, limit in zip(run(infinite), limits, strict=True):
                np.testing.assert_allclose(actual, limit, atol=1e-20, err_msg=f"{way} at {infinite[0, 0]}")
    slope = bprop.grad(lambda x: bprop.sum(bprop.grad(lambda x: bprop.sum(module(x)))(x)), unreached="zeros")
    assert not np.isnan(slope(np.resize(np.array([-np.inf, np.inf, 0.5, 1, 2, 3], dtype), inputs_of(name).shape))).any()
