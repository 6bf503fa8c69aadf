"""Attention and transformers: against PyTorch, against the plain formula, in tiles, memory, generation, errors."""

import importlib
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import bprop
from bprop import nn
from support.comparison import assert_trees_close

tiles = importlib.import_module("bprop.nn.dot_product_attention")
RECORDED = json.loads((Path(__file__).parent / "pytorch_attention.json").read_text(encoding="utf-8"))["cases"]
COUNT, TOKENS, KEYS, WIDTH, HEADS = 2, 3, 4, 4, 2
SOME = np.array([[True, False, True, True], [False, True, False, True], [True, True, True, False]])


def wave(shape, phase=0.0):
    return np.sin(1.7 * np.arange(int(np.prod(shape))) + phase).reshape(shape)


def tuple_of(bars):
    return [np.asarray(bar) for bar in (bars if isinstance(bars, tuple) else (bars,)) if bar is not None]


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "TILE", 3)


# --- PyTorch's numbers ---
def mask_of(options, name="mask"):
    mask = options.get(name)
    return None if mask is None else np.array(mask, dtype=bool if isinstance(mask[0][0], bool) else float)


def shape_of(length, width, options):
    shape = (COUNT, length, width) if options.get("batch_first") else (length, COUNT, width)
    return (length, width) if options.get("single") else shape


def recorded_module(kind, options):
    """Return a module with the recorded settings, its inputs with derivatives, and all arguments of its fprop."""
    names = "bias", "kdim", "vdim", "batch_first", "norm_first", "activation", "layer_norm_eps"
    settings = {name: options[name] for name in names if name in options}
    mask, key_mask = mask_of(options), mask_of(options, "key_mask")
    if kind == "MultiHeadAttention":
        module = nn.MultiHeadAttention(WIDTH, HEADS, dtype=np.float64, **settings)
        widths = options.get("inputs", [WIDTH])
        shapes = [shape_of(KEYS if i else TOKENS, width, options) for i, width in enumerate(widths)]
    else:
        module = getattr(nn, kind)(WIDTH, HEADS, 6, 0.0, causal=False, dtype=np.float64, **settings)
        shapes = [shape_of(n, WIDTH, options) for n in ((TOKENS, KEYS) if "Decoder" in kind else (TOKENS,))]
    inputs = [wave(shape, 0.5 + i) for i, shape in enumerate(shapes)]
    if kind == "MultiHeadAttention":
        arguments = (*(*inputs, None, None)[:3], mask, key_mask)
    else:
        arguments = (*inputs, mask, key_mask) if len(inputs) == 1 else (*inputs, mask, SOME, key_mask)
    return module, inputs, arguments


@pytest.mark.parametrize("name", [name for name in RECORDED if not name.startswith("attention")])
def test_layers_have_the_numbers_of_pytorch(name):
    case = RECORDED[name]
    module, inputs, arguments = recorded_module(name.partition(";")[0], case["options"])
    own = {pytorch_name: path for path, pytorch_name in module.pytorch_names.items()}
    assert set(own) == set(case["parameters"])
    for phase, (pytorch_name, gradient) in enumerate(case["parameters"].items()):
        cell = module.cells()[own[pytorch_name]]
        assert cell.array.shape == np.shape(gradient)
        cell.write(bprop.asarray(wave(cell.array.shape, phase)))
    y = module.fprop(*arguments)
    np.testing.assert_allclose(y, case["y"], rtol=1e-12, atol=1e-13)
    bars = tuple_of(module.bprop(wave(y.shape, 20)))[: len(inputs)]
    assert_trees_close(bars, [np.array(bar) for bar in case["bars"]], rtol=1e-11, atol=1e-12)
    gradients = module.gradients()
    for pytorch_name, expected in case["parameters"].items():
        np.testing.assert_allclose(gradients[own[pytorch_name]], expected, rtol=1e-11, atol=1e-12)

    def loss(module, *xs):
        return bprop.sum(module(*xs, *arguments[len(inputs) :]) * wave(y.shape, 20))

    bars = bprop.grad(loss, tuple(range(1, 1 + len(inputs))))(module, *inputs)
    assert_trees_close(tuple_of(bars), [np.array(bar) for bar in case["bars"]], rtol=1e-11, atol=1e-12)
    assert_trees_close(
        [np.asarray(bar) for bar in bprop.grad(loss)(module, *inputs).values()],
        [np.asarray(bar) for bar in gradients.values()],
        rtol=1e-11,
        atol=1e-12,
    )


@pytest.mark.parametrize("size", [256, 2])
@pytest.mark.parametrize("name", [name for name in RECORDED if name.startswith("attention")])
def test_attention_has_the_numbers_of_pytorch(name, size, monkeypatch):
    monkeypatch.setattr(tiles, "TILE", size)
    case = RECORDED[name]
    options, keys = case["options"], case["options"].get("keys", 3)
    inputs = [wave(shape, 0.5 + i) for i, shape in enumerate([(2, 2, 3, 4), (2, 2, keys, 4), (2, 2, keys, 5)])]

    def f(q, k, v):
        return nn.attention(q, k, v, mask_of(options), options.get("causal", False), options.get("scale"))

    y, pull = bprop.vjp(f, *inputs)
    np.testing.assert_allclose(y, case["y"], rtol=1e-12, atol=1e-14)
    assert_trees_close(
        tuple_of(pull(wave(y.shape, 20))), [np.array(bar) for bar in case["bars"]], rtol=1e-12, atol=1e-13
    )


# --- the plain formula ---
def plain(q, k, v, mask=None, causal=False):
    scores = bprop.matmul(q, bprop.asarray(k).mT) / np.sqrt(q.shape[-1])
    if mask is not None:
        scores = bprop.where(mask, scores, -np.inf) if mask.dtype.kind == "b" else scores + mask
    if causal:
        scores = bprop.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    return bprop.matmul(nn.Softmax(-1)(scores), v)


MASKS = {
    "none": None,
    "bools": np.array([True, False, True, True, True, False, True]) & np.ones((2, 1, 5, 1), bool),
    "keys": np.array([[True] * 7, [True] * 4 + [False] * 3])[:, None, None, :],
    "floats": wave((5, 7), 3),
    "a float for every query": wave((3, 5, 1), 3),
}


def close(found, expected, rtol=1e-12, atol=1e-13):
    assert_trees_close(tuple_of(found), tuple_of(expected), rtol=rtol, atol=atol)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", MASKS)
def test_tiles_give_the_numbers_of_the_plain_formula_and_of_its_derivatives(mask, causal, small_tiles):
    mask = MASKS[mask]
    xs = [wave((2, 3, 5, 4)), wave((2, 3, 7, 4), 1), wave((2, 3, 7, 6), 2)]
    if mask is not None and mask.dtype.kind == "f":
        xs.append(mask)
    positions, dots = tuple(range(len(xs))), tuple(wave(x.shape, 7 + i) for i, x in enumerate(xs))
    losses = [
        lambda q, k, v, m=mask, f=f: bprop.sum(bprop.sin(f(q, k, v, m, causal)) * wave((2, 3, 5, 6), 9))
        for f in (nn.attention, plain)
    ]
    close(*(loss(*xs) for loss in losses))
    close(*(bprop.grad(loss, positions)(*xs) for loss in losses))
    close(*(bprop.jvp(loss, tuple(xs), dots)[1] for loss in losses))
    close(*(bprop.jvp(bprop.grad(loss, positions), tuple(xs), dots)[1] for loss in losses))

    def product(loss):
        return lambda *xs: sum(
            bprop.sum(bar * dot) for bar, dot in zip(bprop.grad(loss, positions)(*xs), dots, strict=True)
        )

    close(*(bprop.grad(product(loss), positions)(*xs) for loss in losses))
    if causal:
        close(bprop.compile(bprop.grad(losses[0], positions))(*xs), bprop.grad(losses[0], positions)(*xs))
        return
    stacked = [np.stack([x, x[..., ::-1]]) for x in xs[:3]]
    each = [bprop.grad(losses[1], (0, 1, 2))(*(x[i] for x in stacked)) for i in range(2)]
    batched = bprop.vmap(lambda q, k, v: bprop.grad(losses[0], (0, 1, 2))(q, k, v))(*stacked)
    close(batched, tuple(np.stack([np.asarray(bars[i]) for bars in each]) for i in range(3)))


@pytest.mark.parametrize("size", [256, 2])
def test_a_query_that_may_attend_to_nothing_has_zeros_and_no_gradient(size, monkeypatch):
    monkeypatch.setattr(tiles, "TILE", size)
    q, k, v = wave((3, 4)), wave((4, 4), 1), wave((4, 2), 2)
    mask = np.ones((3, 4), bool)
    mask[1] = False
    for given in (mask, np.where(mask, 0.0, -np.inf)):
        y, pull = bprop.vjp(lambda q, k, v, given=given: nn.attention(q, k, v, given), q, k, v)
        bars = tuple_of(pull(np.ones(y.shape)))
        assert not np.any(y[1])
        assert not np.any(bars[0][1])
        assert all(np.isfinite(bar).all() for bar in (*bars, np.asarray(y)))
    assert nn.attention(q, k[:0], v[:0]).tolist() == np.zeros((3, 2)).tolist()
    assert np.array(bprop.grad(lambda q: bprop.sum(nn.attention(q, k[:0], v[:0])))(q)).tolist() == (0 * q).tolist()


@pytest.mark.parametrize("size", [256, 2])
def test_scores_of_any_size_do_not_overflow(size, monkeypatch):
    monkeypatch.setattr(tiles, "TILE", size)
    q, k, v = 1e200 * wave((3, 4)), 1e100 * wave((5, 4), 1), wave((5, 2), 2)
    bars = bprop.grad(lambda *xs: bprop.sum(nn.attention(*xs)), (0, 1, 2))(q, k, v)
    assert np.array_equal(nn.attention(q, k, v), v[np.argmax(q @ k.T, axis=-1)])
    assert all(np.isfinite(bar).all() for bar in tuple_of(bars))


def test_leading_axes_broadcast_and_integers_are_floats():
    q, k, v = wave((2, 1, 3, 4)), wave((5, 6, 4), 1), wave((6, 2), 2)
    y, pull = bprop.vjp(nn.attention, q, k, v)
    assert [bar.shape for bar in pull(np.ones(y.shape))] == [q.shape, k.shape, v.shape]
    np.testing.assert_allclose(y, plain(q, k, np.broadcast_to(v, (2, 5, 6, 2))), rtol=1e-13)
    assert nn.attention([[1, 0]], [[1, 2]], [[3, 4]]).tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 1, 2), (3, 4, 0), (0, 0, 1), (1, 600, 1), (600, 1, 1)])
def test_there_may_be_few_queries_keys_or_examples(shape):
    queries, keys, count = shape
    xs = wave((count, queries, 4)), wave((count, keys, 4)), wave((count, keys, 2))
    y, pull = bprop.vjp(lambda *xs: nn.attention(*xs, causal=True), *xs)
    assert y.shape == (count, queries, 2)
    assert [bar.shape for bar in pull(np.ones(y.shape))] == [x.shape for x in xs]
    assert all(np.isfinite(bar).all() for bar in (y.numpy(), *map(np.asarray, pull(np.ones(y.shape)))))


# --- memory ---
def test_memory_grows_with_the_tokens_and_not_with_their_square():
    q, k, v = (wave((1, 1, 4096, 8), i).astype(np.float32) for i in range(3))

    def bars(q, k, v):
        return bprop.grad(lambda *xs: bprop.sum(nn.attention(*xs, causal=True) ** 2), (0, 1, 2))(q, k, v)

    scores = 4 * 4096 * 4096
    tracemalloc.start()
    try:
        eager = bars(q, k, v)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < scores / 3  # several tiles of 4096 · 256 scores
    step = bprop.compile(bars)
    assert_trees_close(tuple_of(step(q, k, v)), tuple_of(eager), rtol=1e-4, atol=1e-6)
    assert step.memory.size < scores / 2


# --- the layer ---
def test_the_handwritten_bprop_is_the_derived_one():
    for arguments in (
        (wave((3, 2, 4)), None, None, wave((3, 3), 5), np.array([[True, True, False], [True] * 3]), True),
        (wave((3, 2, 4)), wave((4, 2, 4), 1), wave((4, 2, 4), 2), wave((2, 1, 1, 4), 5)),
        (wave((3, 2, 4)), wave((4, 2, 4), 1), wave((4, 2, 4), 2), SOME, None, True),
    ):
        layer = nn.MultiHeadAttention(4, 2, dtype=np.float64, seed=0)
        derived = nn.MultiHeadAttention(4, 2, dtype=np.float64, seed=0)
        derived.__class__ = type("Derived", (nn.MultiHeadAttention,), {"fprop": nn.MultiHeadAttention._formula})
        answers = []
        for module in (layer, derived):
            y = module.fprop(*arguments)
            bars = tuple_of(module.bprop(wave(y.shape, 6)))
            answers.append([np.asarray(y), *bars, *map(np.asarray, module.gradients().values())])
        assert_trees_close(*answers, rtol=1e-12, atol=1e-14)


def test_dropped_weights_are_the_same_on_the_way_back(small_tiles):
    x = wave((5, 2, 4))
    layer, twin = (nn.MultiHeadAttention(4, 2, dropout=0.5, dtype=np.float64, seed=0) for _ in range(2))

    def loss(layer, x):
        return bprop.sum(bprop.sin(layer(x)))

    first = loss(layer, x)
    assert first != loss(layer, x)
    assert layer.eval()(x).tolist() == layer(x).tolist()
    layer.train()
    bar = bprop.grad(loss, 1)(twin, x)  # from the state that `first` began with
    layer.generator.state = nn.MultiHeadAttention(4, 2, dropout=0.5, dtype=np.float64, seed=0).generator.state
    state, h, dot = layer.generator.state, 1e-6, wave(x.shape, 3)
    ends = []
    for sign in (1, -1):
        layer.generator.state = state
        ends.append(loss(layer, x + sign * h * dot).item())
    np.testing.assert_allclose((ends[0] - ends[1]) / (2 * h), np.sum(np.asarray(bar) * dot), rtol=1e-7)
    step = bprop.compile(bprop.value_and_grad(loss))
    layer.generator.state = state
    found = step(layer, x)
    layer.generator.state = state
    expected = bprop.value_and_grad(loss)(layer, x)
    assert_trees_close(list(found[1].values()), list(expected[1].values()), rtol=1e-12, atol=1e-14)
    assert found[0].item() == pytest.approx(expected[0].item(), rel=1e-13)


@pytest.mark.parametrize("kept", [0.75])
def test_the_mean_of_dropped_weights_is_the_softmax(kept, small_tiles):
    layer = nn.MultiHeadAttention(4, 2, dropout=1 - kept, dtype=np.float64, seed=0)
    x = np.broadcast_to(wave((7, 1, 4)), (7, 4000, 4))
    np.testing.assert_allclose(np.mean(np.asarray(layer(x)), axis=1), layer.eval()(x[:, 0]), atol=0.02)


def test_weights_are_those_of_the_values():
    layer, x = nn.MultiHeadAttention(4, 2, bias=False, dtype=np.float64, seed=0), wave((3, 2, 4))
    key_mask = np.array([[True, True, False], [False] * 3])
    p = np.asarray(layer.weights(x, key_mask=key_mask, causal=True))
    np.testing.assert_allclose(np.sum(p, axis=-1), [[[1.0] * 3] * 2, [[0.0] * 3] * 2], rtol=1e-14)
    v = (x @ np.asarray(layer.W_in)[8:].T).reshape(3, 2, 2, 2)
    y = np.einsum("nhts,snhd->tnhd", p, v).reshape(3, 2, 4) @ np.asarray(layer.W_out).T
    np.testing.assert_allclose(y, layer(x, key_mask=key_mask, causal=True), rtol=1e-12, atol=1e-15)


def test_lengths_mask_what_fills_up_and_may_be_arguments_of_a_program():
    layer, x, lengths = nn.MultiHeadAttention(4, 2, batch_first=True, dtype=np.float64, seed=0), wave((2, 5, 4)), [3, 5]

    def f(layer, x, lengths):
        return layer(x, key_mask=nn.sequence_mask(lengths, 5), causal=True)

    y = f(layer, x, np.array(lengths))
    np.testing.assert_allclose(bprop.compile(f)(layer, x, np.array(lengths)), y, rtol=1e-12)
    np.testing.assert_allclose(layer(x[0, :3], causal=True), y[0, :3], rtol=1e-13)


@pytest.mark.parametrize("tokens", [48, 300])
def test_the_bits_do_not_depend_on_the_number_of_threads(tokens):
    layer, x = nn.MultiHeadAttention(32, 2, batch_first=True, seed=0), wave((2, tokens, 32)).astype(np.float32)
    step = bprop.compile(lambda layer, x: bprop.value_and_grad(lambda *xs: bprop.sum(xs[0](xs[1])), (0, 1))(layer, x))
    bits, before = [], bprop.get_threads()
    try:
        for threads in (1, 2, 3):
            bprop.set_threads(threads)
            E, (bars, x_bar) = step(layer, x)
            bits.append(b"".join(np.asarray(value).tobytes() for value in (E, x_bar, *bars.values())))
    finally:
        bprop.set_threads(before)
    assert len(set(bits)) == 1
    eager = bprop.value_and_grad(lambda *xs: bprop.sum(xs[0](xs[1])), (0, 1))(layer, x)
    assert_trees_close([*bars.values(), x_bar], [*eager[1][0].values(), eager[1][1]], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [nn.TransformerEncoderBlock, nn.TransformerDecoderBlock])
def test_blocks_have_masks_with_derivatives(kind):
    block = kind(4, 2, 6, 0.0, dtype=np.float64, seed=0)
    masks = (wave((3, 3), 5), wave((3, 4), 6)) if kind is nn.TransformerDecoderBlock else (wave((3, 3), 5),)
    memory = (wave((4, 2, 4), 1),) if kind is nn.TransformerDecoderBlock else ()
    inputs = (wave((3, 2, 4)), *memory, *masks)
    y = block.fprop(*inputs)
    found = block.bprop(wave(y.shape, 8))
    expected = bprop.vjp(lambda *xs: block(*xs), *inputs)[1](wave(y.shape, 8))
    assert_trees_close(tuple_of(found), tuple_of(expected), rtol=1e-12, atol=1e-14)


# --- step by step ---
def test_steps_with_a_cache_are_the_causal_layer():
    layer, x = nn.MultiHeadAttention(4, 2, dtype=np.float64, seed=0), wave((6, 3, 4))
    whole = layer(x, causal=True)
    compiled = bprop.compile(lambda layer, x, state: layer.step(x, state))
    for step in (nn.MultiHeadAttention.step, compiled):
        state, parts, start = layer.start(8, 3), [], 0
        for count in (3, 1, 1, 1):
            y, state = (
                step(layer, x[start : start + count], state)
                if step is not compiled
                else compiled(layer, x[start : start + count], state)
            )
            parts.append(np.asarray(y))
            start += count
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12)
        assert int(state["position"]) == 6


@pytest.mark.parametrize("norm_first", [False, True])
def test_blocks_generate_step_by_step(norm_first):
    x, memory = wave((5, 2, 4)), wave((3, 2, 4), 1)
    encoder = nn.TransformerEncoderBlock(4, 2, 6, norm_first=norm_first, causal=True, dtype=np.float64, seed=0).eval()
    decoder = nn.TransformerDecoderBlock(4, 2, 6, norm_first=norm_first, dtype=np.float64, seed=0).eval()
    for block, rest in ((encoder, ()), (decoder, (memory,))):
        state = block.start(5, 2)
        parts = []
        for t in range(5):
            y, state = block.step(x[t : t + 1], state, *rest)
            parts.append(np.asarray(y))
        np.testing.assert_allclose(np.concatenate(parts), block(x, *rest), rtol=1e-12, atol=1e-14)
        assert not block.__dict__.get("_frames")


# --- a language model ---
class LanguageModel(nn.Module):
    """A small GPT: ids, embedding, positions, blocks, normalisation, logits."""

    def __init__(self, dropout=0.0, dtype=np.float64):
        self.tokens = nn.Embedding(5, 8, dtype=dtype, seed=0)
        self.positions = nn.LearnedPositions(6, 8, dtype=dtype, seed=1)
        options = {"activation": "gelu", "batch_first": True, "norm_first": True, "causal": True, "dtype": dtype}
        self.blocks = nn.Sequential(
            *(nn.TransformerEncoderBlock(8, 2, 16, dropout, seed=seed, **options) for seed in (2, 3))
        )
        self.norm = nn.LayerNorm(8, dtype=dtype)
        self.out = nn.Linear(8, 5, dtype=dtype, seed=4)

    def fprop(self, ids):
        return self.out(self.norm(self.blocks(self.positions(self.tokens(ids)))))

    def step(self, ids, states):
        x = self.positions(self.tokens(ids), states[0]["position"])
        after = []
        for block, state in zip(self.blocks, states, strict=True):
            x, state = block.step(x, state)
            after.append(state)
        return self.out(self.norm(x)), after


def train(model, optimizer, ids, targets):
    loss = nn.CrossEntropy()
    E, gradients = bprop.value_and_grad(lambda model: loss(model(ids), targets))(model)
    optimizer.update(model, gradients)
    return E


def test_a_compiled_training_step_is_the_eager_one():
    random, losses = np.random.default_rng(0), []
    models = [(LanguageModel(0.25), bprop.optim.Adam(0.01), step) for step in (train, bprop.compile(train))]
    for _ in range(3):
        ids, targets = random.integers(0, 5, (2, 3, 6))
        losses.append([step(model, optimizer, ids, targets).item() for model, optimizer, step in models])
    losses = np.array(losses)
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=1e-12)
    first, second = (
        # A bias of keys adds the same to all scores of a query: its gradient is 0, and Adam scales the roundings of it.
        [
            np.asarray(value) if "b_in" not in path else np.delete(value, slice(8, 16))
            for path, value in model.parameters().items()
        ]
        for model, *_ in models
    )
    assert_trees_close(first, second, rtol=1e-9, atol=1e-12)
    assert "called back    nothing" in str(models[1][2].report)


def test_a_model_that_generates_is_one_program():
    model, ids = LanguageModel(), np.array([[0, 3, 1, 4, 2, 2]])
    whole = model(ids)
    step = bprop.compile(lambda model, ids, states: model.step(ids, states))
    states = [block.start(6, 1) for block in model.blocks]
    for t in range(6):
        logits, states = step(model, ids[:, t : t + 1], states)
        np.testing.assert_allclose(logits[:, 0], whole[:, t], rtol=1e-11)
    assert "1 program" in repr(step)


# --- what does not fit ---
Q, X = np.ones((3, 4)), np.ones((3, 2, 4))
LAYER = nn.MultiHeadAttention(4, 2, dtype=np.float64, seed=0)
WRONG = {
    "depth": (lambda: nn.attention(Q, Q[:, :3], Q), "queries have 4 numbers, keys 3"),
    "values": (lambda: nn.attention(Q, Q, Q[:2]), "3 keys and 2 values"),
    "axes": (lambda: nn.attention(Q[0], Q, Q), r"q \(4,\), .* they should be \(\.\.\., Q, n\)"),
    "leading": (lambda: nn.attention(np.ones((2, 3, 4)), np.ones((3, 3, 4)), Q), "do not broadcast"),
    "mask": (lambda: nn.attention(Q, Q, Q, np.ones((2, 3), bool)), r"the mask has shape \(2, 3\), .*\(3, 3\)"),
    "too large a mask": (lambda: nn.attention(Q, Q, Q, np.ones((2, 3, 3), bool)), r"the mask has shape \(2, 3, 3\)"),
    "integers": (lambda: nn.attention(Q, Q, Q, np.ones((3, 3), int)), "the mask is int64: of bools it says"),
    "complex": (lambda: nn.attention(Q + 1j, Q, Q), "q, k and v are real, not complex128"),
    "width": (lambda: LAYER(X[..., :3]), r"x has shape \(3, 2, 3\); it should be \(T, N, 4\) or \(T, 4\)"),
    "dtype": (lambda: LAYER(X.astype(np.float32)), "x is float32 but W_out is float64"),
    "sequences": (lambda: LAYER(X, np.ones((5, 3, 4))), r"\(3, 2, 4\), \(5, 3, 4\): they should have equally many"),
    "no key": (lambda: LAYER(X, None, X), "there is a value but no key"),
    "key mask": (
        lambda: LAYER(X, key_mask=np.ones((3, 2), bool)),
        r"key_mask has shape \(3, 2\); \(N, S\) is \(2, 3\)",
    ),
    "key mask of numbers": (lambda: LAYER(X, key_mask=np.ones((2, 3))), "key_mask is bool"),
    "state": (
        lambda: LAYER.step(X, LAYER.start(4, 3)),
        r"the state has keys of N = 3, heads = 2 and d = 2, the new ones are of N = 2",
    ),
    "no room": (lambda: LAYER.step(X, LAYER.start(2, 2)), r"tokens 0 … 2 of a cache for 2: they are 0 … 1"),
    "heads": (lambda: nn.MultiHeadAttention(10, 3), "width 10 is not divisible by 3 heads"),
    "dropout": (lambda: nn.MultiHeadAttention(4, 2, dropout=1.0), "dropout"),
    "activation": (lambda: nn.FeedForward(4, 8, activation="tanh"), "activation is 'relu', 'gelu' or a module"),
    "not causal": (lambda: nn.TransformerEncoderBlock(4, 2, 8).start(4), "causal=True"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused(case):
    call, message = WRONG[case]
    with pytest.raises(bprop.BpropError, match=message):
        call()
    with pytest.raises(bprop.BpropError, match=message):
        bprop.compile(lambda: call())()


def test_errors_name_the_path():
    model = nn.Sequential(nn.TransformerEncoderBlock(4, 2, 8, dtype=np.float64))
    with pytest.raises(
        bprop.ShapeError,
        match=r"layers\.0:TransformerEncoderBlock.*attention:MultiHeadAttention|attention:MultiHeadAttention",
    ):
        model(X[..., :3])


def test_a_full_cache_is_refused_when_a_program_runs():
    compiled = bprop.compile(lambda layer, x, state: layer.step(x, state))
    state = LAYER.start(4, 2)
    _, state = compiled(LAYER, X, state)
    with pytest.raises(bprop.IndexingError, match="tokens 3 … 5 of a cache for 4: they are 0 … 3"):
        compiled(LAYER, X, state)
