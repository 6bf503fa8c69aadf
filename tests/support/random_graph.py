"""Random graphs of ops: lists of steps on earlier values, drawn by Hypothesis."""

import numpy as np
from hypothesis import strategies as st

import bprop

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
