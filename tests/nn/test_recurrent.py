"""Recurrent layers: against PyTorch over a grid of options, the rule written by hand against reverse mode, states, lengths, errors."""

import json
from pathlib import Path

import numpy as np
import pytest

import bprop
from bprop import nn
from bprop.nn.recurrent_layer import GRUOverTime, LSTMOverTime, RNNOverTime
from support.comparison import assert_trees_close

RECORDED = json.loads((Path(__file__).parent / "pytorch_recurrent.json").read_text(encoding="utf-8"))["cases"]
STEPS, COUNT, INPUTS, HIDDEN = 4, 3, 3, 2
LAYERS = [nn.RNN, nn.LSTM, nn.GRU]


def wave(shape, phase=0.0):
    return np.sin(1.7 * np.arange(int(np.prod(shape))) + phase).reshape(shape)


def leaves(tree):
    return [leaf for entry in tree for leaf in leaves(entry)] if isinstance(tree, tuple) else [np.asarray(tree)]


def start_of(kind, shape):
    first, second = wave(shape, 10), wave(shape, 11)
    return (first, second) if "LSTM" in kind else first


def recorded_call(case):
    """Return a module with the recorded parameters, the inputs of the call, and the names of its parameters."""
    kind, options = case["kind"], dict(case["options"])
    lengths, state, single = (options.pop(name, None) for name in ("lengths", "state", "one"))
    if "relu" in kind:
        options["nonlinearity"] = "relu"
    module = getattr(nn, kind.partition(",")[0])(INPUTS, HIDDEN, dtype=np.float64, **options)
    names = module.pytorch_names
    own = {pytorch_name: path for path, pytorch_name in names.items()}
    for phase, name in enumerate(case["parameters"]):
        cell = module.cells()[own[name]]
        cell.write(bprop.asarray(wave(cell.array.shape, phase)))
    shape = (COUNT, STEPS, INPUTS) if options.get("batch_first") else (STEPS, COUNT, INPUTS)
    shape = (STEPS, INPUTS) if single else (COUNT, INPUTS) if "Cell" in kind else shape
    rows = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    state_shape = (COUNT, HIDDEN) if "Cell" in kind else (rows, COUNT, HIDDEN)
    start = start_of(kind, state_shape) if state else None
    inputs = (wave(shape, 0.5), start) if "Cell" in kind else (wave(shape, 0.5), start, lengths, True)
    return module, inputs, own


@pytest.mark.parametrize("name", RECORDED)
def test_numbers_are_those_of_pytorch(name):
    case = RECORDED[name]
    module, inputs, own = recorded_call(case)
    results = module.fprop(*inputs)
    ys = leaves(results)
    assert_trees_close(ys, [np.array(y) for y in case["results"]], rtol=1e-12, atol=1e-13)
    bars = [wave(y.shape, 20 + i) for i, y in enumerate(ys)]
    if "Cell" in name:
        x_bars = module.bprop(*bars)
    else:
        x_bars = module.bprop(bars[0], tuple(bars[1:]) if "LSTM" in name else bars[1])
    x_bars = leaves(tuple(bar for bar in x_bars if bar is not None) if isinstance(x_bars, tuple) else x_bars)
    assert_trees_close(x_bars, [np.array(bar) for bar in case["bars"]], rtol=1e-12, atol=1e-13)
    gradients = module.gradients()
    assert set(own) == set(case["parameters"]) or "no bias" in name
    for pytorch_name, expected in case["parameters"].items():
        np.testing.assert_allclose(np.asarray(gradients[own[pytorch_name]]), expected, rtol=1e-12, atol=1e-13)


# --- the rule written by hand ---
def over_time(kind, masked, dtype=np.float64):
    layer = kind(INPUTS, HIDDEN, dtype=dtype, seed=3)
    for cell in layer.cells().values():
        cell.write(bprop.asarray(wave(cell.array.shape, 4).astype(dtype)))
    states = [wave((COUNT, HIDDEN), phase).astype(dtype) for phase in (1, 2)][: 1 + (kind is LSTMOverTime)]
    mask = np.arange(STEPS)[:, None, None] < np.array([4, 2, 0])[None, :, None] if masked else None
    return layer, (wave((STEPS, COUNT, INPUTS)).astype(dtype), *states, mask)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", [RNNOverTime, LSTMOverTime, GRUOverTime])
def test_the_handwritten_bprop_is_the_derived_one(kind, masked, reverse):
    layer, inputs = over_time(kind, masked)
    layer.reverse = reverse
    plain = type(kind.__name__, (kind,), {"fprop": lambda self, *xs: kind._formula(self, *xs)})
    derived, _ = over_time(kind, masked)
    derived.reverse, derived.__class__ = reverse, plain
    assert kind._rule is not None
    assert plain._rule is None
    answers = []
    for module in (layer, derived):
        ys = module.fprop(*inputs)
        x_bars = module.bprop(*(wave(y.shape, i) for i, y in enumerate(ys)))
        answers.append([*leaves(ys), *leaves(x_bars[: len(inputs) - 1]), *map(np.asarray, module.gradients().values())])
    assert_trees_close(*answers, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", LAYERS)
def test_check_finds_no_wrong_slope(kind):
    layer = kind(1, 2, dtype=np.float64, seed=0)
    checked = bprop.check(lambda layer, x: bprop.sum(bprop.sin(layer(x, lengths=[2, 1]))), layer, wave((2, 2, 1)))
    assert "0 disagree, 0 undecidable" in str(checked)


@pytest.mark.parametrize("kind", LAYERS)
def test_second_order_and_forward_mode(kind):
    layer, x = kind(2, 2, dtype=np.float64, seed=0), wave((3, 2, 2))

    def loss(x):
        return bprop.sum(bprop.sin(layer(x, lengths=[3, 2])))

    direction = wave(x.shape, 3)
    slope = bprop.jvp(loss, (x,), (direction,))[1]
    np.testing.assert_allclose(slope, np.sum(np.asarray(bprop.grad(loss)(x)) * direction), rtol=1e-12)
    twice = bprop.jvp(bprop.grad(loss), (x,), (direction,))[1]
    again = bprop.grad(lambda x: bprop.sum(bprop.grad(loss)(x) * direction))(x)
    h = 1e-5
    difference = (np.asarray(bprop.grad(loss)(x + h * direction)) - np.asarray(bprop.grad(loss)(x - h * direction))) / (
        2 * h
    )
    np.testing.assert_allclose(twice, again, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(twice, difference, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", LAYERS)
def test_one_application_for_a_batch_of_batches(kind):
    layer, x = kind(INPUTS, HIDDEN, dtype=np.float64, seed=0), wave((5, STEPS, COUNT, INPUTS))
    lengths = np.array([[4, 2, 1]] * 4 + [[1, 0, 3]])
    batched = bprop.vmap(lambda x, lengths: layer(x, lengths=lengths))(x, lengths)
    gradients = bprop.vmap(bprop.grad(lambda x: bprop.sum(bprop.sin(layer(x)))))(x)
    for i in range(5):
        np.testing.assert_allclose(batched[i], layer(x[i], lengths=lengths[i]), rtol=1e-13)
        expected = bprop.grad(lambda x: bprop.sum(bprop.sin(layer(x))))(x[i])
        np.testing.assert_allclose(gradients[i], expected, rtol=1e-12, atol=1e-14)


# --- states and lengths ---
@pytest.mark.parametrize("kind", LAYERS)
def test_parts_with_the_state_carried_on_are_the_whole(kind):
    layer, x = kind(INPUTS, HIDDEN, num_layers=2, dtype=np.float64, seed=0), wave((STEPS, COUNT, INPUTS))
    whole, last = layer(x, return_state=True)
    first, state = layer(x[:1], return_state=True)
    second, end = layer(x[1:], state)
    assert np.array_equal(np.concatenate([first, second]), whole)
    assert all(np.array_equal(one, other) for one, other in zip(leaves(end), leaves(last), strict=True))
    assert np.array_equal(layer(x), whole)


@pytest.mark.parametrize("kind", [*LAYERS, nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_a_state_of_integers_is_one_of_floats(kind):
    layer = kind(INPUTS, HIDDEN, dtype=np.float32, seed=0)
    shape = (COUNT, HIDDEN) if "Cell" in kind.__name__ else (1, COUNT, HIDDEN)
    x = wave((COUNT, INPUTS) if "Cell" in kind.__name__ else (STEPS, COUNT, INPUTS)).astype(np.float32)
    whole = np.arange(6).reshape(shape) - 2
    state = (whole, -whole) if "LSTM" in kind.__name__ else whole
    floats = (np.float32(whole), np.float32(-whole)) if "LSTM" in kind.__name__ else np.float32(whole)
    for f in (lambda state: layer(x, state), bprop.compile(lambda state: layer(x, state))):
        for result, expected in zip(leaves(f(state)), leaves(f(floats)), strict=True):
            assert result.dtype == np.float32
            assert np.array_equal(result, expected)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_its_cell_over_time(kind):
    layer = kind(INPUTS, HIDDEN, dtype=np.float64, seed=0)
    cell = getattr(nn, f"{kind.__name__}Cell")(INPUTS, HIDDEN, dtype=np.float64)
    cell.load_state_dict({path.removeprefix("layers.0."): value for path, value in layer.state_dict().items()})
    x, state = wave((STEPS, COUNT, INPUTS)), None
    y = layer(x)
    for t in range(STEPS):
        state = cell(x[t], state)
        np.testing.assert_allclose(leaves(state)[0] if kind is nn.LSTM else state, y[t], rtol=1e-14)
    assert cell(x[0, 0]).shape == (HIDDEN,) if kind is not nn.LSTM else cell(x[0, 0])[0].shape == (HIDDEN,)


@pytest.mark.parametrize("kind", LAYERS)
def test_nothing_beyond_a_sequence_matters(kind):
    layer = kind(INPUTS, HIDDEN, num_layers=2, bidirectional=True, dtype=np.float64, seed=0)
    x, lengths = wave((STEPS, COUNT, INPUTS)), np.array([4, 2, 0])
    beyond = np.arange(STEPS)[:, None] >= lengths
    spoilt = np.where(beyond[..., None], np.nan, x)
    y, state = layer.fprop(spoilt, None, lengths, True)
    x_bar = layer.bprop(np.ones(y.shape), state)[0]
    assert not np.any(np.asarray(y)[beyond])
    assert not np.any(np.asarray(x_bar)[beyond])
    gradients = layer.gradients()
    layer.fprop(np.where(beyond[..., None], 7.0, x), None, lengths, True)
    layer.bprop(np.ones(y.shape), state)
    for path, bar in layer.gradients().items():
        assert np.any(bar), path
        np.testing.assert_array_equal(bar, gradients[path])
    assert all(
        np.isfinite(leaf).all() for leaf in (*leaves(state), x_bar, *map(np.asarray, layer.gradients().values()))
    )
    for example in range(2):
        part, end = layer(x[: lengths[example], example], return_state=True)
        np.testing.assert_allclose(part, y[: lengths[example], example], rtol=1e-13)
        for short, long in zip(leaves(end), leaves(state), strict=True):
            np.testing.assert_allclose(short, long[:, example], rtol=1e-13)


# --- in programs ---
class CharacterModel(nn.Module):
    """Embedding by take, a recurrent layer, Linear."""

    def __init__(self, kind, dtype=np.float64, **options):
        self.table = nn.parameter(wave((5, INPUTS)), dtype)
        self.recurrent = kind(INPUTS, 4, dtype=dtype, seed=1, **options)
        self.out = nn.Linear(4, 5, dtype=dtype, seed=2)

    def fprop(self, ids, state=None, lengths=None):
        y, state = self.recurrent(bprop.take(self.table, ids, axis=0), state, lengths, return_state=True)
        return self.out(y), state


def training(kind, dtype=np.float64, **options):
    loss = nn.CrossEntropy()

    def step(model, optimizer, ids, targets, state, lengths):
        def error(model):
            y, new_state = model(ids, state, lengths)
            return loss(y, targets), new_state

        (E, new_state), gradients = bprop.value_and_grad(error, has_aux=True)(model)
        gradients, norm = bprop.optim.clip_norm(gradients, 0.25)
        optimizer.update(model, gradients)
        return E, norm, new_state

    return CharacterModel(kind, dtype, **options), bprop.optim.Adam(0.01), step


@pytest.mark.parametrize("kind", LAYERS)
def test_a_compiled_training_step_is_the_eager_one(kind):
    random = np.random.default_rng(0)
    options = {"num_layers": 2, "dropout": 0.25} if kind is nn.GRU else {}
    model, optimizer, step = training(kind, **options)
    twin, other_optimizer, _ = training(kind, **options)
    compiled = bprop.compile(step)
    state = other_state = start_of(kind.__name__, (options.get("num_layers", 1), COUNT, 4))
    for _ in range(3):
        ids, targets = random.integers(0, 5, (2, STEPS, COUNT))
        lengths = random.integers(0, STEPS + 1, COUNT)
        E, norm, state = step(model, optimizer, ids, targets, state, lengths)
        found = compiled(twin, other_optimizer, ids, targets, other_state, lengths)
        other_state = found[2]
        assert_trees_close(leaves(found), leaves((E, norm, state)), rtol=1e-12, atol=1e-14)
    assert_trees_close(
        list(map(np.asarray, twin.parameters().values())),
        list(map(np.asarray, model.parameters().values())),
        rtol=1e-10,
        atol=1e-12,
    )


@pytest.mark.parametrize("kind", LAYERS)
def test_the_bits_do_not_depend_on_the_number_of_threads(kind):
    layer, x = kind(16, 32, dtype=np.float32, seed=0), wave((16, 32, 16)).astype(np.float32)
    step = bprop.compile(lambda layer, x: bprop.value_and_grad(lambda layer, x: bprop.sum(layer(x)), (0, 1))(layer, x))
    bits, before = [], bprop.get_threads()
    try:
        for threads in (1, 2, 3):
            bprop.set_threads(threads)
            E, (bars, x_bar) = step(layer, x)
            bits.append(b"".join(np.asarray(value).tobytes() for value in (E, x_bar, *bars.values())))
    finally:
        bprop.set_threads(before)
    assert len(set(bits)) == 1


def test_within_a_sequential_the_layer_gives_y_alone():
    model = nn.Sequential(nn.LSTM(INPUTS, HIDDEN, dtype=np.float64, seed=0), nn.Linear(HIDDEN, 5, np.float64, seed=0))
    x = wave((STEPS, COUNT, INPUTS))
    y = model.fprop(x)
    x_bar = model.bprop(wave(y.shape))
    expected = bprop.vjp(model, x)[1](wave(y.shape))[0]
    assert y.shape == (STEPS, COUNT, 5)
    np.testing.assert_allclose(x_bar, expected, rtol=1e-13)


def test_dropout_acts_between_layers_in_training_alone():
    layer = nn.GRU(INPUTS, 64, num_layers=2, dropout=0.5, dtype=np.float64, seed=0)
    x = wave((STEPS, COUNT, INPUTS))
    assert not np.array_equal(layer(x), layer(x))
    layer.eval()
    assert np.array_equal(layer(x), layer(x))
    same = nn.GRU(INPUTS, 64, num_layers=2, dtype=np.float64, seed=0)
    assert np.array_equal(layer(x), same(x))


def test_the_equations_are_those_of_backpropagation_through_time():
    text = str(nn.LSTM(3, 4).equations())
    assert "layers.0" in text
    assert "W_h_bar" in text


# --- what does not fit ---
X = wave((STEPS, COUNT, INPUTS))
WRONG = {
    "inputs": (lambda layer: layer(X[..., :2]), r"LSTM\(3 → 2\): x has shape \(4, 3, 2\), its last axis should be 3"),
    "axes": (lambda layer: layer(X[0, 0]), r"x has shape \(3,\); it is \(T, N, inputs\) or \(T, inputs\)"),
    "dtype": (lambda layer: layer(X.astype(np.float32)), "x is float32 but W_x is float64"),
    "pair": (lambda layer: layer(X, np.zeros((1, 3, 2))), r"the state is a pair \(h, c\)"),
    "state": (
        lambda layer: layer(X, (np.zeros((1, 3, 2)), np.zeros((1, 3, 4)))),
        r"the state c has shape \(1, 3, 4\); it should be \(1, 3, 2\), \(num_layers · directions, N, hidden\)",
    ),
    "length": (lambda layer: layer(X, lengths=[4, 5, 1]), "length 5 of sequence 1 with 4 steps: lengths are 0 … 4"),
    "negative": (lambda layer: layer(X, lengths=[4, -1, 1]), "length -1 of sequence 1 with 4 steps: lengths are 0 … 4"),
    "lengths": (lambda layer: layer(X, lengths=[4, 1]), r"lengths have shape \(2,\); one for every sequence is \(3,\)"),
    "floats": (lambda layer: layer(X, lengths=[4.0, 1.0, 1.0]), "lengths are integers, not float64"),
    "name": (lambda layer: layer(X, length=[4, 1, 1]), "its fprop takes .x, state, lengths, return_state"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused_by_path_and_number(case):
    call, message = WRONG[case]
    layer = nn.LSTM(INPUTS, HIDDEN, dtype=np.float64)
    with pytest.raises(bprop.BpropError, match=message) as eager:
        call(layer)
    with pytest.raises(bprop.BpropError, match=message):
        bprop.compile(lambda layer: call(layer))(layer)
    holder = nn.Sequential(layer)
    if case == "inputs":
        with pytest.raises(bprop.ShapeError, match=r"layers\.0:LSTM"):
            holder(X[..., :2])
    assert eager.value is not None


@pytest.mark.parametrize("lengths", [[4, 5, 1], [4, -1, 1]])
def test_a_length_out_of_range_is_refused_when_a_program_runs(lengths):
    layer = nn.LSTM(INPUTS, HIDDEN, dtype=np.float64)
    compiled = bprop.compile(lambda layer, lengths: layer(X, lengths=lengths))
    compiled(layer, np.array([4, 1, 1]))
    with pytest.raises(
        bprop.IndexingError, match=rf"length {min(lengths) if min(lengths) < 0 else 5} of sequence 1 with 4 steps"
    ):
        compiled(layer, np.array(lengths))


def test_settings_are_checked():
    for options, message in (
        ({"num_layers": 0}, "num_layers"),
        ({"dropout": 1.0, "num_layers": 2}, "dropout"),
        ({"dropout": 0.5}, "dropout=0.5 acts between layers, and num_layers is 1"),
        ({"bidirectional": 2}, "bidirectional"),
        ({"hidden": 0}, "LSTM: hidden"),
    ):
        with pytest.raises(bprop.ArgumentError, match=message):
            nn.LSTM(**{"inputs": 3, "hidden": 2, **options})
    with pytest.raises(bprop.ArgumentError, match="nonlinearity is 'tanh' or 'relu', not 'sigmoid'"):
        nn.RNN(3, 2, nonlinearity="sigmoid")
