"""Random graphs of ops, compiled and eager."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import bprop
from bprop.compile import native

UNARY = [bprop.tanh, bprop.sigmoid, bprop.abs, bprop.negative, bprop.relu, lambda x: bprop.exp(-bprop.abs(x))]
BINARY = [bprop.add, bprop.subtract, bprop.multiply, bprop.maximum, lambda a, b: bprop.where(a > b, a, b * 0.5)]
SHAPED = [
    lambda x: x.T,
    lambda x: x[::-1] if x.ndim else x,
    lambda x: x[..., 1:] if x.shape and x.shape[-1] > 1 else x,
    lambda x: x.reshape(x.size),
    lambda x: x.reshape(*x.shape, 1) + bprop.zeros(2, dtype=x.dtype),
    lambda x: bprop.tanh(bprop.sum(x, axis=0)) if x.ndim else x,
    lambda x: bprop.max(x, axis=-1, keepdims=True) if x.ndim and x.shape[-1] else x,
    lambda x: bprop.softmax(x) if x.ndim and x.shape[-1] else x,
    lambda x: bprop.tanh(x @ x.mT) if x.ndim >= 2 else x,
    lambda x: bprop.take(x, np.array([0, -1, 0]), axis=0) if x.ndim and x.shape[0] else x,
]


@st.composite
def programs(draw):
    """A list of steps: (which op, which earlier values)."""
    count = draw(st.integers(1, 14))
    numbers = st.integers(0, 1000)
    return [(draw(st.sampled_from("ubs")), draw(numbers), draw(numbers), draw(numbers)) for _ in range(count)]


def run(steps, xs):
    values = list(xs)
    for kind, which, first, second in steps:
        a, b = values[first % len(values)], values[second % len(values)]
        if kind == "u":
            y = UNARY[which % len(UNARY)](a)
        elif kind == "s":
            y = SHAPED[which % len(SHAPED)](a) if a.ndim < 4 else a[0]
        else:
            try:
                y = BINARY[which % len(BINARY)](a, b)
            except bprop.ShapeError:
                y = BINARY[which % len(BINARY)](a, bprop.sum(b) * 0.01)
        values.append(y)
    return tuple(values[len(xs) :][-3:])


@given(programs(), st.sampled_from([np.float32, np.float64]), st.sampled_from([(3, 4), (1, 5), (4,), (0, 2), ()]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_random_graphs(steps, dtype, shape):
    """Values stay of size 1 to a few hundred and every function here is Lipschitz, so rounding errors stay small."""
    random = np.random.default_rng(0)
    xs = [bprop.asarray(random.uniform(-1, 1, s).astype(dtype)) for s in (shape, shape[-1:], ())]
    expected = run(steps, xs)
    compiled = native(bprop.trace(lambda *xs: run(steps, xs))(*xs))(*xs)
    for y, e in zip(compiled, expected, strict=True):
        assert y.spec == e.spec
        largest = max(float(np.abs(e.data).max(initial=0)), 1.0)
        if not np.isfinite(largest) or largest > 1e4:  # products of products: rounding errors grow with them
            continue
        np.testing.assert_allclose(y, e, rtol=0, atol=2000 * np.finfo(dtype).eps * largest)
