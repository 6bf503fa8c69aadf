"""Compiled products with absent cotangents: entries on which nothing depends may be NaN or infinite.

The truth is the gradient with other numbers there. Planted: the plain program without its check (all forms fail); the check
after the first write in place (the steps fail); the masked program not run, or run from the step after (the loops fail).
"""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop import nn, optim
from bprop.compile.llvm.host import parallel_threshold
from bprop.core.tree import flatten

ROWS, WIDTH = 4, 3


def _masked(y):
    return bprop.where(bprop.reshape(bprop.arange(ROWS) > 0, (ROWS, 1)), y, 0)


# functions of W (3, 3) and x (4, 3) that do not depend on the first row of x
FORMS = {
    "slice": lambda W, x: bprop.sum((x @ W)[1:]),
    "mask": lambda W, x: bprop.sum(_masked(x @ W) ** 2),
    "one entry of Gram's matrix": lambda W, x: (x @ x.T)[1, 1] * bprop.sum(W),
    "part of Gram's matrix": lambda W, x: bprop.sum((x @ W @ x.T)[1:, 1:]),
    "two layers": lambda W, x: bprop.sum(bprop.relu(bprop.relu(x @ W) @ W)[1:] ** 2),
    "smooth layers": lambda W, x: bprop.sum(_masked(bprop.tanh(bprop.tanh(x @ W) @ W))),
    "einsum": lambda W, x: bprop.sum(bprop.einsum("ij,kj,lk->il", x, W, W)[1:]),
    "einsum of three": lambda W, x: bprop.sum(bprop.einsum("ij,jk,ik->i", x, W, x)[1:]),
    "batch": lambda W, x: bprop.sum((x[:, None, :] @ W[None])[1:]),
    "vecdot": lambda W, x: bprop.sum(bprop.vecdot(x, W[0])[1:]),
    "a scalar's product": lambda W, x: bprop.sum((W[0, 0] * x)[1:]),
    "matrix and vector": lambda W, x: bprop.sum((x @ W[1])[1:] ** 2),
    "outer": lambda W, x: bprop.sum(bprop.einsum("i,j->ij", x[:, 1], W[0])[1:]),
    "checkpoint": lambda W, x: bprop.sum(bprop.checkpoint(lambda x: bprop.relu(x @ W))(x)[1:]),
    "second order": lambda W, x: bprop.sum(bprop.grad(lambda W: bprop.sum((x @ W)[1:] ** 3))(W) ** 2),
    "forward over reverse": lambda W, x: bprop.sum(
        bprop.jvp(bprop.grad(lambda W: bprop.sum((x @ W)[1:] ** 3)), (W,), (W,))[1]
    ),
    "vmap": lambda W, x: bprop.sum(
        bprop.vmap(lambda w: bprop.sum(bprop.grad(lambda w: bprop.sum((x @ w)[1:] ** 3))(w)))(W)
    ),
    "inside cond": lambda W, x: bprop.cond(
        W[0, 0] > -9, lambda W, x: bprop.sum((x @ W)[1:] ** 2), lambda W, x: bprop.sum(W), W, x
    ),
    "inside scan": lambda W, x: bprop.scan(
        lambda c, w: (c + bprop.sum((x @ w)[1:] ** 2), None), bprop.asarray(np.zeros((), W.dtype)), W
    )[0],
}
BAD = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}


def _arguments(dtype):
    random = np.random.default_rng(0)
    return random.standard_normal((WIDTH, WIDTH)).astype(dtype), random.standard_normal((ROWS, WIDTH)).astype(dtype)


@pytest.mark.parametrize("name", FORMS)
def test_gradients_do_not_see_what_is_absent(name):
    f = FORMS[name]
    W, x = _arguments(np.float64)
    gradient = bprop.grad(f, argnums=(0, 1))
    truth = [np.asarray(y) for y in gradient(W, x)]
    run = bprop.compile(gradient)
    for y, expected in zip(run(W, x), truth, strict=True):
        assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    guarded = name != "a scalar's product"  # which is no contraction: nothing small tells, and it is masked
    assert run.report.masked == 0
    for bad in BAD.values():
        x[0] = [1.0, bad, bad]
        for y, expected in zip(run(W, x), truth, strict=True):
            assert_allclose(y, expected, rtol=1e-12, atol=1e-14, err_msg=str(bad))
    assert run.report.masked == (len(BAD) if guarded else 0)
    assert len(run.programs) == 1


def test_dead_units_with_infinite_weights():
    """What an infinite weight makes of a unit that is off everywhere reaches nothing: its cotangent is absent."""
    W, x = _arguments(np.float64)
    x = np.abs(x)
    W[:, 1] = -np.inf
    V = np.ones((WIDTH, WIDTH))
    gradient = bprop.grad(lambda W, x, V: bprop.sum(bprop.relu(bprop.relu(x @ V) @ W) ** 2), argnums=(1, 2))
    dead = W.copy()
    dead[:, 1] = -1.0
    for y, expected in zip(bprop.compile(gradient)(W, x, V), gradient(dead, x, V), strict=True):
        assert_allclose(y, expected, rtol=1e-12)


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_product_entry_by_entry_is_guarded_by_what_is_small(bad):
    """The scale of a column, and the sum of squares of its deviations. Planted: each of them not checked."""
    present = np.arange(64) > 0

    def f(x, scale, centre):
        def loss(x, scale):
            return bprop.sum(bprop.where(present[:, None], (x - centre) * scale, 0) ** 2)

        squares = bprop.sum(bprop.square(x - centre), axis=0)
        return *bprop.grad(loss, argnums=(0, 1))(x, scale), squares

    random = np.random.default_rng(0)
    x, scale, centre = random.standard_normal((64, 3)), random.standard_normal(3), random.standard_normal(3)
    run = bprop.compile(f)
    truth = run(x, scale, centre)
    x[0] = bad
    for y, expected in zip(run(x, scale, centre)[:2], truth, strict=False):
        assert_allclose(y, expected, rtol=1e-12)
    x[0], scale[1] = 0, bad
    assert_array_equal(run(x, scale, centre)[0][0], np.zeros(3))
    assert run.report.masked == 2


def test_a_residual_block_needs_no_masks():
    """What batch normalisation multiplies by is small or has a variance; relu and sums before it leave entries absent."""
    convolution = lambda inputs: nn.Conv2d(inputs, 8, 3, padding=1, dtype="float64")
    layers = [(nn.BatchNorm2d(8, dtype="float64"), nn.ReLU(), convolution(8)) for _ in range(2)]
    block = nn.Sequential(convolution(2), nn.Residual(nn.Sequential(*layers[0])), *layers[1])
    x = np.random.default_rng(0).standard_normal((16, 2, 6, 6))
    gradient = bprop.value_and_grad(lambda block: bprop.sum(block(x) ** 2))
    run = bprop.compile(gradient)
    for y, truth in zip(flatten(run(block))[0], flatten(gradient(block))[0], strict=True):
        assert_allclose(y, truth, rtol=1e-9, atol=1e-9)
    assert run.report.masked == 0
    assert not {"any", "bitwise_or", "bitwise_and"} & set(str(run.kernels).replace("×", " ").split())


def test_all_arrays_of_a_dtype_are_checked_by_one_function():
    """A network has a hundred of them: written out for each, the check takes a tenth of the time in which LLVM compiles."""
    gradient = bprop.compile(bprop.grad(FORMS["two layers"], argnums=(0, 1)))
    gradient(*_arguments(np.float64))
    checked = next(kernel for kernel in gradient.kernels if kernel.kind == "guard")
    assert len(checked.reads) > 1
    definitions = [
        line for line in gradient.llvm.splitlines() if line.startswith("define") and "has_not_finite" in line
    ]
    assert len(definitions) == 1


def test_a_true_nan_stays():
    """Where a present entry meets it, the result is what IEEE 754 makes of the sum."""
    W, x = _arguments(np.float64)
    run = bprop.compile(bprop.grad(lambda W, x: bprop.sum((x @ W)[1:])))
    for bad in BAD.values():
        x[2, 1] = bad
        assert_allclose(run(W, x), np.repeat(x[1:].sum(0)[:, None], WIDTH, 1), rtol=1e-12)


# --- training steps: what is written in place ---
STEPS, BATCH, IN, HIDDEN, OUT = 6, 8, 4, 16, 3
OPTIMISERS = {"SGD": lambda: optim.SGD(0.05), "Adam": lambda: optim.Adam(0.01)}


def _training(optimiser, sizes=(IN, HIDDEN, OUT)):
    random = np.random.default_rng(0)
    layers = [one for n, m in pairwise(sizes) for one in (nn.Linear(n, m), nn.ReLU())]
    model = nn.Sequential(*layers[:-1])
    for layer in model.layers[::2]:
        layer.W = bprop.asarray(random.standard_normal(layer.W.shape).astype(np.float32) / 2)
    return model, OPTIMISERS[optimiser]()


def _step(model, rule, x, t, mask):
    def loss(model):
        y = model(x)
        E = bprop.logsumexp(y, axis=1) - bprop.take_along_axis(y, t[:, None], axis=1)[:, 0]
        return bprop.sum(bprop.where(mask, E, 0))

    E, gradients = bprop.value_and_grad(loss)(model)
    rule.update(model, gradients)
    return E


def _batches():
    """Return batches of which the second and the last are padded."""
    random = np.random.default_rng(1)
    x = random.standard_normal((STEPS, BATCH, IN)).astype(np.float32)
    t = random.integers(0, OUT, (STEPS, BATCH))
    mask = np.ones((STEPS, BATCH), bool)
    for step, start, bad in ((1, 5, np.nan), (STEPS - 1, 6, np.inf)):
        x[step, start:], mask[step, start:] = bad, False
    return x, t, mask


@pytest.mark.parametrize(("optimiser", "threads"), [("SGD", 1), ("Adam", 2)])
def test_a_step_on_a_padded_batch_leaves_finite_weights(optimiser, threads):
    """Planted: the check after the update, which then writes NaN into the weights; masks for the model of an earlier call."""
    batches = _batches()
    model, rule = _training(optimiser)
    losses = [float(_step(model, rule, *row)) for row in zip(*batches, strict=True)]
    weights = [np.asarray(layer.W) for layer in model.layers[::2]]
    before = bprop.get_threads()
    bprop.set_threads(threads)
    try:
        with parallel_threshold(0):
            run = bprop.compile(_step)
            for way in ("calls", "loop") if optimiser == "SGD" else ("loop",):  # twice: for another model
                model, rule = _training(optimiser)
                if way == "calls":
                    found = []
                    for row in zip(*batches, strict=True):
                        found.append(float(run(model, rule, *row)))
                else:
                    found = run.loop(model, rule, *batches)
                assert_allclose(np.asarray(found), losses, rtol=1e-4)
                for layer, expected in zip(model.layers[::2], weights, strict=True):
                    assert_allclose(layer.W, expected, rtol=1e-3, atol=1e-5)
    finally:
        bprop.set_threads(before)


def test_all_weights_are_written_in_place_and_after_the_check():
    """Planted: a product that updates a weight, not moved behind the check (the update is copied at the end then)."""
    model, rule = _training("SGD", sizes=(64, 256, 256, 10))
    random = np.random.default_rng(1)
    x, t, mask = random.standard_normal((64, 64)).astype(np.float32), random.integers(0, 10, 64), np.arange(64) < 60
    run = bprop.compile(_step)
    run(model, rule, x, t, mask)
    assert len(run.memory.in_place) == len(run.memory.donated)
    x[60:] = np.nan
    run(model, rule, x, t, mask)
    for layer in model.layers[::2]:
        assert np.isfinite(np.asarray(layer.W)).all()


def test_healthy_steps_never_make_the_masked_program():
    W, x = _arguments(np.float64)
    run = bprop.compile(bprop.grad(lambda W, x: bprop.sum((x @ W)[1:] ** 2)))
    for _ in range(3):
        run(W, x)
    assert (run.report.masked, run._last.masked) == (0, None)
    assert "in 0 calls" in str(run.report)
    x[0] = np.nan
    run(W, x)
    masked = run._last.masked
    run(W, x)
    assert run._last.masked is masked
    assert "in 2 calls" in str(run.report)


def test_a_callback_is_called_once():
    """A program with effects masks from the start: none of it runs twice."""
    seen = []

    def f(W, x):
        E, gradient = bprop.value_and_grad(lambda W: bprop.sum((x @ W)[1:]))(W)
        bprop.callback(lambda E: seen.append(float(E)), E)
        return gradient

    W, x = _arguments(np.float64)
    run = bprop.compile(f)
    for bad in (1.0, np.nan):
        x[0] = bad
        assert_allclose(run(W, x), np.repeat(x[1:].sum(0)[:, None], WIDTH, 1), rtol=1e-12)
    assert len(seen) == 2
    assert run.report.masked is None


def test_an_error_and_a_number_that_is_not_finite():
    """An index out of range is an error of the masked program as well, and nothing is written."""
    x = _arguments(np.float32)[1]
    model = nn.Linear(WIDTH, WIDTH)
    before = np.asarray(model.W)

    def f(model, x, index):
        def loss(model):
            return bprop.sum(bprop.take(bprop.relu(model(x)), index, axis=0) ** 2)

        gradients = bprop.grad(loss)(model)
        optim.SGD(0.1).update(model, gradients)

    run = bprop.compile(f)
    x[0] = np.nan
    with pytest.raises(bprop.IndexingError):
        run(model, x, np.array([1, ROWS]))
    assert_array_equal(model.W, before)


def test_draws_are_made_once():
    """The counter of a generator is as after one step, and the masked program draws what the plain one did."""
    x, t, mask = _batches()
    results = []
    for compiled in (False, True):
        model, rule = _training("SGD")
        model = nn.Sequential(*model.layers[:2], nn.Dropout(0.5, seed=3), *model.layers[2:])
        run = bprop.compile(_step) if compiled else _step
        losses = [float(run(model, rule, *row)) for row in zip(x[:3], t, mask)]  # noqa: B905
        results.append((losses, np.asarray(model.layers[0].W)))
    assert_allclose(results[1][0], results[0][0], rtol=1e-4)
    assert_allclose(results[1][1], results[0][1], rtol=1e-3, atol=1e-5)


def test_verification_compares_what_the_masked_program_gives():
    W, x = _arguments(np.float64)
    x[0] = np.nan
    run = bprop.compile(bprop.grad(lambda W, x: bprop.sum((x @ W)[1:] ** 2)), verify=True)
    assert np.isfinite(np.asarray(run(W, x))).all()
    assert run.report.masked == 1


# --- Jacobians: most entries of a one-hot seed are absent ---
JACOBIANS = {
    "forward": lambda f: bprop.jacobian(f, mode="forward"),
    "reverse": bprop.jacobian,
    "hessian": lambda f: bprop.hessian(lambda x: bprop.sum(f(x) ** 2)),
    "tangent of a Jacobian": lambda f: lambda x: bprop.jvp(bprop.jacobian(f, mode="forward"), (x,), (x * 0 + 1,))[1],
}
POLES = {
    "entries": bprop.sqrt,
    "selection": lambda x: bprop.sqrt(bprop.maximum(x, 0.0)) * x[0],
    "product": lambda x: np.arange(6.0).reshape(2, 3) @ bprop.log(x),
    "softmax": lambda x: bprop.exp(x - bprop.max(x)) / bprop.sum(bprop.exp(x - bprop.max(x))),
    "running sum": lambda x: bprop.cumulative_sum(bprop.cbrt(x)),
    "scan": lambda x: bprop.scan(lambda c, x: (c + bprop.sqrt(x), bprop.relu(x)), np.zeros(()), x),
}


def _leaves(tree):
    return [np.asarray(y) for y in (tree if isinstance(tree, tuple) else (tree,))]


@pytest.mark.parametrize("transform", JACOBIANS)
@pytest.mark.parametrize("name", POLES)
def test_a_jacobian_carries_no_masks_while_it_is_finite(name, transform):
    """Then it is the plain one, masks of selections included; else it is what the masked sweep gives eagerly."""
    f = POLES[name]
    if transform != "forward" and name == "scan":
        f = lambda x: POLES["scan"](x)[1]
    derivative = JACOBIANS[transform](f)
    run = bprop.compile(derivative)
    x = np.array([0.3, 2.0, 0.7])
    for y, expected in zip(_leaves(run(x)), _leaves(derivative(x)), strict=True):
        assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    assert run.report.masked == 0
    for number, special in enumerate((0.0, np.inf, np.nan), start=1):
        x[1] = special
        for y, expected in zip(_leaves(run(x)), _leaves(derivative(x)), strict=True):
            assert_allclose(y, expected, rtol=1e-12, atol=1e-14, err_msg=str(special))
        assert run.report.masked <= number
    assert len(run.programs) == 1


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_no_kernel_of_a_jacobian_makes_a_mask(mode):
    run = bprop.compile(bprop.jacobian(lambda x: bprop.tanh(np.ones((4, 3)) @ bprop.tanh(x)), mode=mode))
    run(np.ones(3))
    assert "where" not in str(run.graph)
    assert "bool" not in str(run.graph).replace("bool[3,3]", "").replace("bool[4,4]", "")  # of the seeds


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_jacobian_that_is_differentiated_keeps_its_masks(mode):
    """All of J is finite, the slope of its slopes is not: 0 · 0.75 / √0."""
    entry = lambda x: bprop.jacobian(lambda x: x**1.5, mode=mode)(x)[0, 1]
    assert_array_equal(bprop.compile(bprop.grad(entry))(np.array([0.0, 4.0])), [0, 0])


COMPLEX_JACOBIANS = {
    "of a real result by a complex argument": lambda z: np.sum(np.abs(z) ** 2 * z.real),
    "of several": lambda z: (z * z).imag,
    "of a power spectrum": lambda z: np.abs(np.fft.fft(z)) ** 2,
}


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", COMPLEX_JACOBIANS)
def test_a_jacobian_of_complex_numbers_checks_their_parts(name, dtype, mode):
    jacobian = bprop.jacobian(COMPLEX_JACOBIANS[name], mode=mode)
    z = np.asarray([0.5 + 1j, 2 - 0.3j, -0.1 + 0.2j]).astype(dtype)
    for value in (z, np.asarray([np.nan, 2 - 0.3j, -0.1 + 0.2j]).astype(dtype)):  # the second runs the masked program
        for f in (
            jacobian,
            lambda z: jacobian(z)[..., :1],
        ):  # what is left of the result is smaller than what is checked
            assert_allclose(bprop.compile(f)(value), f(value), rtol=50 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)
