"""Long straight-line programs: cut into functions, so that the time to compile grows with their length and no faster."""

import re

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.compile.frontend import traced_call as traced
from bprop.compile.passes import schedule


def slope(y, p):
    return bprop.stack([y[1], p * (1 - y[0] ** 2) * y[1] - y[0]])


def runge_kutta(steps):
    def f(y, p):
        h = 0.05
        for _ in range(steps):
            k1 = slope(y, p)
            k2 = slope(y + h / 2 * k1, p)
            y = y + h * k2
        return bprop.sum(y**2)

    return f


@pytest.fixture
def short_segments(monkeypatch):
    monkeypatch.setattr(schedule, "SEGMENT_LENGTH", 5)


def functions(step):
    """Return the number of lines of every function of the program, but for the one that calls the pieces in order."""
    bodies = re.findall(r"^define .*?^}", str(step.llvm), re.DOTALL | re.MULTILINE)
    return [len(body.splitlines()) for body in bodies if "@run(" not in body.partition("\n")[0]]


def test_no_function_grows_with_the_loop(short_segments):
    longest = []
    for turns in (4, 8):
        step = bprop.compile(bprop.grad(runge_kutta(turns)))
        step(np.array([1.0, 0.0]), 2.0)
        longest.append(max(functions(step)))
    assert longest[1] <= 1.1 * longest[0]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [3, 20_000])
def test_pieces_compute_what_one_function_does(threads, size, short_segments):
    """The larger arrays are shared between threads, so that segments are cut at barriers."""

    def f(x):
        total = 0.0
        for n in range(8):
            x = bprop.cumulative_sum(bprop.sin(x), axis=0) / (n + 1)
            total = total + bprop.sum(x[::2])
        return total

    x = np.linspace(0, 1, size)
    before = bprop.get_threads()
    bprop.set_threads(threads)
    step = bprop.compile(bprop.value_and_grad(f))
    try:
        value, gradient = step(x)
    finally:
        bprop.set_threads(before)
    assert "segment" in str(step.llvm)
    expected, expected_gradient = bprop.value_and_grad(f)(x)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("size", [2, 20_000])
def test_an_error_in_a_late_piece_leaves_cells_as_they_were(size, short_segments):
    model = nn.Linear(size, 1, bias=False, dtype="float64")
    optimizer = optim.SGD(0.1)

    @bprop.compile
    def step(model, optimizer, x, last):
        def loss(model):
            y = x
            for n in range(8):
                y = bprop.sin(y) + y[n % 2]
            return bprop.sum(model(y)) + bprop.take(y, last)

        value, gradients = bprop.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        return value

    x = np.linspace(0, 1, size)
    step(model, optimizer, x, np.int64(1))
    assert "segment" in str(step.llvm)
    weights = np.array(model.W)
    with pytest.raises(IndexError):
        step(model, optimizer, x, np.int64(size))
    np.testing.assert_array_equal(model.W, weights)
    step(model, optimizer, x, np.int64(0))
    assert not np.array_equal(model.W, weights)


@pytest.fixture
def small_is_large(monkeypatch):
    monkeypatch.setattr(traced, "LARGE", 100)
    monkeypatch.setattr(traced, "REPEATED", 10)


def test_a_long_loop_is_named_once(small_is_large):
    step = bprop.compile(bprop.grad(runge_kutta(6)))
    with pytest.warns(bprop.CompileWarning, match=r"test_unrolled.py:\d+: return bprop.stack.*bprop\.scan") as caught:
        step(np.array([1.0, 0.0]), 2.0)
    assert len(caught) == 1
    step(np.array([1.0, 0.0]), 3.0)  # another program, which says nothing: warnings are errors


def test_the_way_back_is_no_loop(small_is_large):
    """All of it is at one line of the user, with many equal applications."""

    def f(x):
        for _ in range(8):
            x = bprop.sin(x)
            x = bprop.tanh(x)
            x = bprop.exp(x)
            x = bprop.sin(x)
            x = bprop.cos(x)
        return x

    step = bprop.compile(bprop.grad(f))
    step(0.1)
    assert len(step.graph.nodes) > traced.LARGE


def test_an_update_of_many_parameters_is_no_loop(small_is_large):
    model, optimizer = nn.Sequential(*[nn.Linear(3, 3, seed=n) for n in range(9)]), optim.Adam(0.1)
    optimizer.init(model)

    def step(model, optimizer, x):
        E, gradients = bprop.value_and_grad(lambda m: bprop.sum(m(x)))(model)
        optimizer.update(model, gradients)
        return E

    compiled = bprop.compile(step)
    compiled(model, optimizer, np.ones((2, 3), np.float32))
    assert len(compiled.graph.nodes) > traced.LARGE


def test_layers_are_no_loop():
    layers = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(20)])
    bprop.compile(bprop.grad(lambda m, x: bprop.sum(m(x))))(layers, np.ones((2, 4), np.float32))
