"""Frames, sharing, errors and structure of modules."""

import gc
import weakref

import numpy as np
import pytest

import bprop
from bprop import nn

X = np.random.default_rng(1).normal(size=(4, 3))


def small():
    return nn.Sequential(nn.Linear(3, 3, np.float64, seed=0), nn.Tanh(), nn.Linear(3, 2, np.float64, seed=1))


def arrays(gradients):
    return {path: np.asarray(g) for path, g in gradients.items()}


def same(first, second):
    assert first.keys() == second.keys()
    for path in first:
        np.testing.assert_allclose(np.asarray(first[path]), np.asarray(second[path]), atol=1e-12)


# --- frames ---
def test_fprop_and_bprop_give_the_gradients_of_value_and_grad():
    model, loss = small(), nn.CrossEntropy()
    E = loss.fprop(model.fprop(X), [0, 1, 1, 0])
    x_bar = model.bprop(loss.bprop())
    value, gradients = bprop.value_and_grad(lambda m: loss(m(X), [0, 1, 1, 0]))(model)
    assert float(E) == float(value)
    same(model.gradients(), gradients)
    expected = bprop.grad(lambda x: loss(model(x), [0, 1, 1, 0]))(X)
    np.testing.assert_allclose(np.asarray(x_bar), np.asarray(expected), atol=1e-12)


def test_the_layers_keep_what_went_through_them():
    model = small()
    y = model.fprop(X)
    assert model[0].x.tolist() == X.tolist()
    assert model[2].y.tolist() == y.tolist()
    assert model[1].x.tolist() == model[0].y.tolist()


def test_bprop_without_fprop():
    with pytest.raises(bprop.StateError, match="no fprop came before"):
        nn.Tanh().bprop(np.ones(2))
    model = small()
    model.fprop(X)
    model.bprop(np.ones((4, 2)))
    with pytest.raises(bprop.StateError, match="each fprop answers one bprop"):
        model.bprop(np.ones((4, 2)))


def test_a_call_keeps_nothing_not_even_in_the_children():
    model, loss = small(), nn.SquaredError()
    loss(model(X), np.zeros((4, 2)))
    for module in (model, *model, loss):
        with pytest.raises(bprop.StateError):
            module.bprop(np.ones((4, 2)))


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: bprop.grad(f),
        lambda f: lambda x: bprop.jvp(f, (x,), (x,)),
        lambda f: lambda x: bprop.hvp(f, (x,), (x,)),
        lambda f: bprop.trace(f),
        lambda f: bprop.grad(bprop.checkpoint(f)),
        lambda f: lambda x: bprop.vmap(f)(x[:, None]),
    ],
    ids=["grad", "jvp", "hvp", "trace", "checkpoint", "vmap"],
)
def test_no_frame_stays_under_a_transform(transform):
    model = small()
    transform(lambda x: bprop.sum(model.fprop(x)))(X)
    for module in (model, *model):
        with pytest.raises(bprop.StateError):
            module.bprop(np.ones((4, 2)))


def test_repeated_fprop_does_not_leak():
    model = small()
    for _ in range(50):
        model.fprop(X)
    assert all(len(module.__dict__["_frames"]) == 1 for module in (model, *model))


def test_a_model_and_its_frames_are_freed():
    model = small()
    model.fprop(X)
    alive = weakref.ref(model[0])
    del model
    gc.collect()
    assert alive() is None


def test_y_bar_must_fit():
    model = small()
    model.fprop(X)
    with pytest.raises(bprop.ShapeError, match=r"y_bar has shape \(2,\), y has shape \(4, 2\)"):
        model.bprop(np.ones(2))
    with pytest.raises(bprop.ShapeError, match="only a scalar has the default 1"):
        model.bprop()


# --- sharing ---
def test_a_module_applied_twice_in_one_sweep():
    layer = nn.Linear(3, 3, np.float64, seed=0)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    model.fprop(X)
    model.bprop(np.ones((4, 3)))
    gradients = bprop.grad(lambda m: bprop.sum(m(X)))(model)
    assert set(gradients) == {"layers.0.W", "layers.0.b"}
    same(model.gradients(), gradients)


def test_tied_weights_are_one_entry_summed():
    model = nn.Sequential(nn.Linear(3, 3, np.float64, seed=0), nn.Tanh(), nn.Linear(3, 3, np.float64, seed=1))
    model[2].W = model[0].cells()["W"]
    assert set(model.parameters()) == {"layers.0.W", "layers.0.b", "layers.2.b"}
    model.fprop(X)
    model.bprop(np.ones((4, 3)))
    gradients = bprop.grad(lambda m: bprop.sum(m(X)))(model)
    same(model.gradients(), gradients)
    one = np.asarray(model[0].W).copy()
    h = 1e-6
    values = []
    for sign in (1, -1):
        moved = one.copy()
        moved[1, 2] += sign * h
        model[0].W = moved
        values.append(float(bprop.sum(model(X))))
    assert float(gradients["layers.0.W"][1, 2]) == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-6)


def test_modules_are_found_in_nested_containers_and_bare_parameters_refused():
    class Nested(nn.Module):
        def __init__(self):
            self.blocks = [[nn.Linear(3, 3, np.float64, seed=0)], {"out": (nn.Linear(3, 2, np.float64, seed=1),)}]

        def fprop(self, x):
            return self.blocks[1]["out"][0](self.blocks[0][0](x))

    expected = {f"blocks.{path}.{name}" for path in ("0.0", "1.out.0") for name in "Wb"}
    assert set(bprop.grad(lambda m: bprop.sum(m(X)))(Nested())) == expected

    class Loose(nn.Module):
        def __init__(self):
            self.weights = [nn.parameter(np.ones(3))]

    with pytest.raises(bprop.ArgumentError, match=r"Loose\.weights\.0 is a parameter or state inside a list"):
        Loose()


def test_a_list_of_numbers_is_an_input_like_any_other():
    module = nn.ReLU()
    module.fprop([1.0, -1.0])
    assert module.bprop([3.0, 3.0]).tolist() == [3.0, 0.0]


# --- errors ---
def test_an_error_names_the_module_and_the_line():
    model = small()
    with pytest.raises(bprop.ShapeError) as caught:
        model(np.ones((4, 5)))  # here
    text = str(caught.value)
    assert "Linear(3 → 3): x has shape (4, 5), its last axis should be 3" in text
    assert "in module Sequential.layers.0:Linear" in text
    assert "model(np.ones((4, 5)))  # here" in text
    with pytest.raises(bprop.ShapeError, match=r"Sequential\.layers\.0:Linear"):
        bprop.grad(lambda m: bprop.sum(m(np.ones((4, 5)))))(model)


def test_float64_in_a_float32_layer():
    with pytest.raises(bprop.DTypeError, match=r"x is float64 but W is float32: write x.astype\('float32'\)"):
        nn.Linear(3, 2)(X)
    y = nn.Linear(3, 2)(np.ones((4, 3), np.uint8))
    assert y.dtype == np.float32


def test_traced_value_in_an_undeclared_attribute():
    class Leaky(nn.Module):
        def fprop(self, x):
            self.last = x
            return x

    with pytest.raises(bprop.StateError, match=r"does not outlive.*nn\.state"):
        bprop.grad(lambda x: bprop.sum(Leaky()(x)))(X)


def test_wrong_arguments():
    for sizes in ((0, 1), (1.5, 1), (True, 1), (1, -2)):
        with pytest.raises(bprop.ArgumentError, match="positive integer"):
            nn.Linear(*sizes)
    with pytest.raises(bprop.DTypeError, match="floating"):
        nn.Linear(1, 1, dtype=int)
    with pytest.raises(bprop.ArgumentError, match="not both"):
        nn.Linear(1, 1, generator=bprop.Generator(0), seed=1)
    with pytest.raises(bprop.ArgumentError, match=r"layer 1 is .*not a module.*followed by"):
        nn.Sequential(nn.Tanh(), nn.Tanh)
    with pytest.raises(bprop.ArgumentError, match="one by one"):
        nn.Sequential([nn.Tanh()])
    for p in (-0.1, 1, 1.5, True):
        with pytest.raises(bprop.ArgumentError, match="probability of silence"):
            nn.Dropout(p)


# --- weights, structure, text ---
def test_initial_weights():
    nn.seed(3)
    first, second = nn.Linear(300, 200), nn.Linear(300, 200)
    nn.seed(3)
    again = nn.Linear(300, 200)
    W = np.asarray(first.W)
    assert W.dtype == np.float32
    assert W.shape == (200, 300)
    assert (np.asarray(again.W) == W).all()
    assert (np.asarray(second.W) != W).mean() > 0.99
    bound = np.sqrt(6 / 500)
    assert np.abs(W).max() <= bound
    assert W.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)
    assert not np.asarray(first.b).any()
    generator = bprop.Generator(5)
    pair = nn.Linear(4, 4, generator=generator), nn.Linear(4, 4, generator=generator)
    assert (np.asarray(pair[0].W) != np.asarray(pair[1].W)).all()


def test_sequential_is_a_sequence():
    model = small()
    assert len(model) == 3
    assert list(model)[1] is model[1] is model[-2]
    head = model[:2]
    assert isinstance(head, nn.Sequential)
    assert head[0] is model[0]
    assert nn.Sequential()(X).tolist() == X.tolist()


def test_repr_says_what_there_is():
    text = repr(nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.1, seed=4), nn.Softmax(), nn.LogSoftmax(axis=0)))
    assert "4 layers, 8 parameters" in text
    assert "Linear(3 → 2, float32)" in text
    assert "Dropout(p=0.1, Generator(seed=4, counter=0))" in text
    assert "LogSoftmax(axis=0)" in text


def test_softmax_modules():
    y = np.asarray(nn.Softmax(axis=0)(X))
    np.testing.assert_allclose(y.sum(axis=0), 1)
    np.testing.assert_allclose(np.exp(np.asarray(nn.LogSoftmax(axis=0)(X))), y)


# --- dropout ---
def test_dropout_keeps_the_mean_and_scales_the_gradient():
    dropout = nn.Dropout(0.25, seed=0)
    x = np.ones((200, 50))
    y = np.asarray(dropout.fprop(x))
    assert set(np.unique(y)) == {0.0, 1 / 0.75}
    assert y.mean() == pytest.approx(1, abs=0.02)
    assert np.asarray(dropout.bprop(x)).tolist() == y.tolist()  # the same mask


def test_dropout_draws_anew_and_is_off_in_evaluation():
    model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    x = np.ones(1000)
    assert (np.asarray(model[0](x)) != np.asarray(model[0](x))).any()
    assert (np.asarray(model[0](x)) != np.asarray(model[1](x))).any()
    assert model.eval()(x).tolist() == x.tolist()
    model.train()
    assert (np.asarray(model(x)) == 0).any()
    assert nn.Dropout(0)(x).tolist() == x.tolist()


def test_dropout_under_checkpoint_uses_one_mask():
    x = np.ones(100)
    gradients = []
    for wrap in (lambda f: f, bprop.checkpoint):
        dropout = nn.Dropout(0.5, seed=1)
        gradients.append(bprop.grad(wrap(lambda x, d=dropout: bprop.sum(d(x) ** 2)))(x).tolist())
        assert dropout.generator.cell.array.tolist()[1] == 25  # 100 numbers, 4 a block, drawn once
    assert gradients[0] == gradients[1]


def test_dropout_in_a_compiled_step_continues_the_stream():
    from bprop.compile import compile

    x = np.ones(64)
    eager, native = nn.Dropout(0.5, seed=1), nn.Dropout(0.5, seed=1)
    step = compile(lambda m, x: m(x))
    for _ in range(3):
        assert step(native, x).tolist() == eager(x).tolist()
    assert step(native.eval(), x).tolist() == x.tolist()


def test_weights_that_are_no_mapping_of_arrays():
    model = nn.Linear(3, 2)
    for wrong in ([1, 2], None, nn.Tanh()):
        with pytest.raises(bprop.ArgumentError, match="load_state_dict: weights are a mapping from paths"):
            model.load_state_dict(wrong)
    for wrong in ([[1.0], [1.0, 2.0]], "x", None):
        with pytest.raises(bprop.BpropError):
            model.load_state_dict({"W": wrong}, strict=False)


def test_a_parameter_with_two_names():
    class Twice(nn.Module):
        def __init__(self):
            self.W = self.V = nn.parameter(np.array([[1.0, 2.0], [3.0, 5.0]]))

        def fprop(self, x):
            return x @ self.W @ self.V

    model, x = Twice(), np.array([[1.0, -2.0]])
    assert list(model.parameters()) == list(model.state_dict()) == ["W"]
    model.fprop(x)
    model.bprop(np.ones((1, 2)))
    expected = bprop.grad(lambda model: bprop.sum(model(x)))(model)["W"]
    np.testing.assert_allclose(np.asarray(model.gradients()["W"]), np.asarray(expected))


def test_a_function_that_reads_the_parameters_of_another_module():
    inner = nn.Linear(3, 2, np.float64)
    x = np.ones((4, 3))
    for f in (lambda x: x @ inner.W.T, inner):
        outer = nn.Lambda(lambda x, f=f: f(x))
        assert outer(x).shape == (4, 2)
        with pytest.raises(
            bprop.ArgumentError, match=r"Lambda\.fprop reads Linear\.W, a parameter of no module inside"
        ):
            outer.fprop(x)
    gradients = bprop.grad(lambda model: bprop.sum(outer(x)))(inner)
    np.testing.assert_allclose(np.asarray(gradients["W"]), np.full((2, 3), 4.0))  # a variable all the same


class Doubled(nn.Module):
    """Keeps its input for a handwritten rule."""

    def fprop(self, x):
        self.keep(square=np.asarray(x) ** 2)
        return 2 * x

    def bprop(self, y_bar):
        return 2 * y_bar * self.square


def applied(make, *inputs, y_bar=None):
    """Return the answer of bprop after the caller has filled its arrays with the next batch."""
    module = make()
    arrays = [np.array(x) for x in inputs]
    module.fprop(*arrays)
    for array in arrays:
        array[...] = 50
    x_bar = module.bprop() if y_bar is None else module.bprop(np.array(y_bar))
    return [np.asarray(x_bar), *(np.asarray(value) for value in module.gradients().values())]


@pytest.mark.parametrize(
    ("make", "inputs", "y_bar"),
    [
        (lambda: nn.Linear(3, 2, seed=0, dtype="float64"), ([[1.0, 2.0, 3.0]],), [[1.0, 1.0]]),
        (nn.Tanh, ([0.5, -1.0],), [1.0, 1.0]),
        (nn.SquaredError, ([[1.0, 1.0]], [[0.0, 0.0]]), None),
        (nn.CrossEntropy, ([[1.0, 2.0]], [1]), None),
        (nn.Huber, ([[1.0, 4.0]], [[0.0, 0.0]]), None),
        (Doubled, ([1.0, 2.0],), [1.0, 1.0]),
    ],
    ids=["Linear", "Tanh", "SquaredError", "CrossEntropy", "Huber", "kept"],
)
def test_a_batch_filled_again_before_the_way_back_changes_nothing(make, inputs, y_bar):
    """A loader that reuses its buffers, and modules whose rule reads what fprop was given or kept."""
    module = make()
    module.fprop(*(bprop.asarray(x) for x in inputs))
    x_bar = module.bprop() if y_bar is None else module.bprop(np.array(y_bar))
    expected = [np.asarray(x_bar), *(np.asarray(value) for value in module.gradients().values())]
    for got, right in zip(applied(make, *inputs, y_bar=y_bar), expected, strict=True):
        np.testing.assert_array_equal(got, right)
