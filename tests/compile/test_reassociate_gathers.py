"""Products behind an embedding: the table is multiplied where it has fewer rows than are taken, with the same numbers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop
from bprop import nn, optim
from bprop.compile.passes.reassociate_gathers import reassociate_gathers
from bprop.core.error import IndexingError
from bprop.core.family import Bilinear
from bprop.core.simplify import simplify

rng = np.random.default_rng(0)
ROWS, WIDTH, OUTPUTS = 5, 96, 40
TABLE, WEIGHT = rng.normal(size=(ROWS, WIDTH)), rng.normal(size=(WIDTH, OUTPUTS))
TOKENS = rng.integers(-ROWS, ROWS - 1, size=(6, 7))  # -1, the last row, does not occur
TOKENS[TOKENS == -1] = 0

PRODUCTS = {
    "matrix": lambda E, W, t: E[t] @ W,
    "one axis of indices": lambda E, W, t: E[bprop.reshape(t, -1)][:, None, :] @ W,
    "time first": lambda E, W, t: bprop.permute_dims(E[t], (1, 0, 2)) @ W,
    "flat": lambda E, W, t: bprop.reshape(E[t], (-1, WIDTH)) @ W,
    "time first and flat": lambda E, W, t: bprop.reshape(bprop.permute_dims(E[t], (1, 0, 2)), (-1, WIDTH)) @ W,
    "turned": lambda E, W, t: bprop.einsum("dn,btd->nbt", W, E[t]),
    "turned, between": lambda E, W, t: bprop.einsum("btd,dn->bnt", E[t], W),
    "entries that stay": lambda E, W, t: bprop.einsum("btcd,den->bcetn", bprop.reshape(E, (ROWS, 2, 48))[t],
                                                      bprop.reshape(W, (48, 2, OUTPUTS))),
    "rows of columns": lambda E, W, t: bprop.take(E.T, t, axis=1).transpose((1, 2, 0)) @ W,
    "two directions": lambda E, W, t: bprop.concat((E[t] @ W, E[t[:, ::-1]] @ W[::-1])),
}  # fmt: skip


def gradients(product):
    """Return a function of table, weight and indices that gives the product and the gradients of both."""

    def loss(E, W, t):
        y = product(E, W, t)
        return bprop.sum(bprop.tanh(y * 0.1) ** 2), y

    def step(E, W, t):
        (_, y), bars = bprop.value_and_grad(lambda E, W: loss(E, W, t), (0, 1), has_aux=True)(E, W)
        return (y, *bars)

    return step


def multiply_adds(graph):
    total = 0
    for node in graph.nodes:
        if isinstance(node.op, Bilinear):
            shapes = [x.spec.shape for x in node.edges]
            labels = node.op.labels(*shapes, **node.params)
            total += int(np.prod(list(node.op.sizes(labels[0], shapes[0], labels[1], shapes[1]).values())))
    return total


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "float64") for name in PRODUCTS), ("matrix", "float32"), ("time first", "float32")]
)
def test_products_of_rows_have_the_numbers_of_the_eager_ones(name, dtype):
    step = gradients(PRODUCTS[name])
    args = TABLE.astype(dtype), WEIGHT.astype(dtype), TOKENS
    for y, expected in zip(bprop.compile(step)(*args), step(*args), strict=True):
        assert_allclose(y, expected, rtol=1e-11 if dtype == "float64" else 2e-4, atol=1e-4 * (dtype == "float32"))


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_table_is_multiplied_in_both_directions(name):
    graph = simplify(bprop.trace(gradients(PRODUCTS[name]))(TABLE, WEIGHT, TOKENS))
    result = simplify(reassociate_gathers(graph))
    assert [spec.shape for spec in result.specs] == [spec.shape for spec in graph.specs]
    assert multiply_adds(result) * TOKENS.size == multiply_adds(graph) * ROWS


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_rows_that_no_token_names_stay_out_of_sums(position, number):
    args = [TABLE.copy(), WEIGHT.copy(), TOKENS]
    args[position][-1, 3] = number
    step = gradients(PRODUCTS["matrix"])
    compiled, eager = bprop.compile(step)(*args), step(*args)
    assert np.isfinite(eager[1][-1]).all()
    for y, expected in zip(compiled, eager, strict=True):
        assert_allclose(y, expected, rtol=1e-11)


@pytest.mark.parametrize("index", [ROWS, -ROWS - 1])
def test_an_index_out_of_range_is_an_error_still(index):
    tokens = TOKENS.copy()
    tokens[3, 2] = index
    for product in (PRODUCTS["matrix"], PRODUCTS["time first and flat"]):
        with pytest.raises(IndexingError, match=f"index {index} is out of range for axis 0 of shape"):
            bprop.compile(gradients(product))(TABLE, WEIGHT, tokens)


def unchanged(f, *args):
    graph = bprop.trace(f)(*args)
    return [node.op for node in reassociate_gathers(graph).nodes] == [node.op for node in graph.nodes]


def test_rows_are_multiplied_where_that_is_less_work():
    assert not unchanged(lambda E, W, t: E[t] @ W, TABLE, WEIGHT, TOKENS)
    assert unchanged(lambda E, W, t: E[t] @ W, TABLE, WEIGHT, TOKENS[0, :ROWS])  # no more tokens than rows
    assert unchanged(lambda E, W, t: E[t] @ W, TABLE[:, :4], WEIGHT[:4], TOKENS)  # moving results costs more than that
    assert unchanged(lambda E, W, t: bprop.exp(E[t]) @ W, TABLE, WEIGHT, TOKENS)
    assert unchanged(lambda E, W, t: bprop.einsum("td,tdn->tn", E[t[0]], W), TABLE, np.ones((7, WIDTH, 3)), TOKENS)
    assert unchanged(lambda E, t: bprop.einsum("btd,bud->btu", E[t], E[t]), TABLE, TOKENS)  # by example


def test_a_product_that_others_read_is_made_anyway():
    def f(z, W, t):
        y = z @ W
        return bprop.zeros((ROWS, OUTPUTS)).at[t].add(y), y

    def g(z, W, t):
        return f(z, W, t)[0]

    args = rng.normal(size=(6, 7, WIDTH)), WEIGHT, TOKENS
    both, total = (reassociate_gathers(simplify(bprop.trace(h)(*args))) for h in (f, g))
    shapes = [[n.specs[0].shape for n in graph.nodes if isinstance(n.op, Bilinear)] for graph in (both, total)]
    assert shapes == [[(6, 7, OUTPUTS)], [(ROWS, OUTPUTS)]]
    assert_allclose(bprop.compile(g)(*args), g(*args), rtol=1e-11)


@pytest.mark.parametrize(
    ("layer", "options"), [(nn.RNN, {}), (nn.LSTM, {}), (nn.GRU, {"bidirectional": True, "num_layers": 2})]
)
def test_training_of_recurrent_layers_behind_an_embedding(layer, options):
    def train(compiled):
        width = 40 * (1 + options.get("bidirectional", False))
        model = nn.Sequential(
            nn.Embedding(ROWS, 40, seed=1, dtype="float64"), layer(40, 40, seed=2, dtype="float64", batch_first=True, **options),
            nn.Linear(width, ROWS, seed=3, dtype="float64"),
        )  # fmt: skip
        rule, loss = optim.SGD(0.1), nn.CrossEntropy()

        def step(x):
            value, gradient = bprop.value_and_grad(lambda m: loss(m(x), x[:, ::-1]))(model)
            rule.update(model, gradient)
            return value

        step = bprop.compile(step) if compiled else step
        losses = [float(step(TOKENS % ROWS)) for _ in range(3)]
        return losses, [np.asarray(value) for value in model.parameters().values()]

    (losses, weights), (expected, eager) = train(True), train(False)
    assert_allclose(losses, expected, rtol=1e-10)
    for own, other in zip(weights, eager, strict=True):
        assert_allclose(own, other, rtol=1e-8, atol=1e-12)
