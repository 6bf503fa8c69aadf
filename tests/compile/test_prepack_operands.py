"""A matrix that stays the same in a loop is packed once, before it: same sums, same bits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.compile.ir.register_tile import RegisterTile
from bprop.compile.llvm.host import current_target
from bprop.compile.passes import pipeline
from bprop.compile.passes.prepack_operands import MIN_LENGTH, prepack_operands

rng = np.random.default_rng(0)
COLUMNS = RegisterTile(np.dtype(np.float32), current_target()).columns


def states(h, rows, W):
    """h_t = tanh(h_{t-1} W + x_t), and the states."""

    def step(h, row):
        h = bprop.tanh(h @ W + row)
        return h, h

    return bprop.scan(step, h, rows)


def operands(length=MIN_LENGTH, examples=6, hidden=6 * COLUMNS, dtype="float32"):
    shapes = (examples, hidden), (length, examples, hidden), (hidden, hidden)
    return [(rng.normal(size=shape) / hidden**0.5).astype(dtype) for shape in shapes]


def loop_of(f, *args):
    """The operands of the loop, after the pass."""
    (loop,) = [node for node in prepack_operands(bprop.trace(f)(*args), current_target()).nodes if node.op.is_region]
    return [x.spec.shape for x in loop.edges]


def test_a_matrix_is_packed_before_the_loop_that_reads_its_columns():
    h, rows, W = operands()
    assert loop_of(states, h, rows, W) == [h.shape, rows.shape, (6, 6 * COLUMNS, COLUMNS)]


@pytest.mark.parametrize(("dtype", "examples"), [("float32", 9), ("float64", 40)])
def test_bits_are_those_of_the_matrix_where_it_lies(dtype, examples, monkeypatch):
    args = operands(examples=examples, dtype=dtype)
    f = bprop.grad(lambda h, rows, W: bprop.sum(states(h, rows, W)[1] ** 2), (0, 1, 2))
    packed = bprop.compile(f)(*args)
    monkeypatch.setattr(pipeline, "prepack_operands", lambda graph, target: graph)
    for y, expected in zip(packed, bprop.compile(f)(*args), strict=True):
        assert_array_equal(y, expected)


@pytest.mark.parametrize(
    "f",
    [
        lambda h, rows, W: states(h, rows, W.T),
        lambda h, rows, W: states(h, rows, W * 2.0),
        lambda h, rows, W: bprop.scan(lambda h, row: (bprop.tanh(row + h @ W) @ W, h), h, rows),  # read twice
        lambda h, rows, W: bprop.scan(lambda h, row: (bprop.tanh(row + h @ W) + W[0], h), h, rows),
        lambda h, rows, W: bprop.scan(lambda h, row: ((row @ W.T) * 0.1, h), h, rows),
        lambda h, rows, W: bprop.scan(lambda h, row: (h, bprop.einsum(",ij->j", row[0, 0], W)), h, rows),
        lambda h, rows, W: bprop.scan(lambda W, row: (W @ W, row[0]), W, rows),
        lambda h, rows, W: bprop.scan(lambda h, row: (h, bprop.einsum("bi,ij->ji", row, W)), h, rows),
        lambda h, rows, W: bprop.scan(lambda h, row: bprop.scan(lambda h, _: (h @ W, h), h, length=9), h, rows),
    ],
)
def test_loops_of_other_forms_keep_their_numbers(f):
    h, rows, W = operands()
    for y, expected in zip(bprop.compile(f)(h, rows, W), f(h, rows, W), strict=True):
        assert_allclose(y, expected, rtol=2e-4, atol=1e-5)


def test_what_gains_nothing_stays():
    def is_packed(h, rows, W):
        return loop_of(states, h, rows, W) != [h.shape, rows.shape, W.shape]

    assert is_packed(*operands())
    assert not is_packed(*operands(length=MIN_LENGTH - 1))
    assert not is_packed(*operands(examples=1))
    assert not is_packed(*operands(hidden=COLUMNS))
    assert not is_packed(*operands(hidden=6 * COLUMNS + 1))
