"""L-BFGS: where it arrives, what its line search promises, what it keeps, and what it refuses."""

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.optim.line_search import Point, strong_wolfe


class Two(nn.Module):
    def __init__(self, x, y, dtype=np.float64):
        self.x0, self.x1 = nn.parameter(x, dtype), nn.parameter(y, dtype)

    def fprop(self):
        return 100 * (self.x1 - self.x0 * self.x0) ** 2 + (1 - self.x0) ** 2


def rosenbrock(model):
    return model()


def test_rosenbrocks_valley():
    model = Two(-1.2, 1.0)
    found = optim.LBFGS(tolerance_change=0).minimise(rosenbrock, model, 60)
    assert found.E < 1e-15
    assert found.reason == "gradient"
    assert found.steps < 40
    assert found.evaluations < 60
    np.testing.assert_allclose([float(model.x0), float(model.x1)], 1, rtol=1e-6)


def test_float32_parameters_stay_float32():
    model = Two(-1.2, 1.0, np.float32)
    found = optim.LBFGS().minimise(rosenbrock, model, 60)
    assert model.x0.dtype == np.float32
    assert found.E < 1e-6


def test_a_resumed_history_goes_on_as_if_nothing_had_happened():
    model, optimizer = Two(-1.2, 1.0), optim.LBFGS(history=4)
    optimizer.minimise(rosenbrock, model, 7)
    other, resumed = Two(0.0, 0.0), optim.LBFGS(history=4)
    resumed.init(other)
    for ours, theirs in ((resumed, optimizer), (other, model)):
        for path, cell in ours.cells().items():
            cell.write(theirs.cells()[path].read())
    assert list(resumed.cells()) == ["learning_rate", "count", "pairs", "s", "y"]
    assert resumed.cells()["s"].array.shape == (4, 2)
    assert optimizer.minimise(rosenbrock, model, 5) == resumed.minimise(rosenbrock, other, 5)
    assert float(model.x0) == float(other.x0)


def test_one_step_at_a_time_is_the_same():
    model, optimizer, other, single = Two(-1.2, 1.0), optim.LBFGS(), Two(-1.2, 1.0), optim.LBFGS()
    E = optimizer.minimise(rosenbrock, model, 6).E
    assert [single.step(rosenbrock, other) for _ in range(6)][-1] == E
    assert int(single.count) == int(optimizer.count) == 6


LINES = {
    "far minimum": lambda t: ((t - 30) ** 2 / 50, (t - 30) / 25),
    "near minimum": lambda t: ((t - 0.003) ** 2, 2 * (t - 0.003)),
    "Moré & Thuente 1": lambda t: (-t / (t * t + 2), (t * t - 2) / (t * t + 2) ** 2),
    "waves": lambda t: (0.05 * t * t - np.sin(2 * t), 0.1 * t - 2 * np.cos(2 * t)),
    "a wall": lambda t: (-t - 0.1 * np.log(2 - t), -1 + 0.1 / (2 - t)) if t < 2 else (np.nan, np.nan),
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("t", [1e-3, 1.0, 50.0])
def test_the_strong_wolfe_conditions_hold(name, t):
    line = LINES[name]
    at = lambda t: Point(t, *line(t), np.zeros(1))
    origin = at(0.0)
    found = strong_wolfe(at, origin, t, curvature=0.1)
    assert origin.E + 1e-4 * found.t * origin.slope >= found.E
    assert abs(found.slope) <= -0.1 * origin.slope


def test_a_bracket_grows_by_a_hundredth_at_least_and_ten_times_at_most():
    for E, expected in ((-30.0, 1.01), (-0.9755, 10.0)):  # cubics with their minimum at 1.005 and at 12
        tried = []

        def at(t, E=E, tried=tried):
            tried.append(t)
            return Point(t, *((E, -0.95) if t == 1 else (E - 1, 0.0)), np.zeros(1))

        strong_wolfe(at, Point(0.0, 0.0, -1.0, np.zeros(1)), 1.0)
        assert tried == pytest.approx([1.0, expected], rel=1e-15)


def test_an_interrupted_search_leaves_the_last_whole_step():
    model, optimizer = Two(-1.2, 1.0), optim.LBFGS()
    optimizer.minimise(rosenbrock, model, 3)
    before, calls = (float(model.x0), float(model.x1)), []

    def interrupted(m):
        if bprop.core.interpreter.EVALUATE.read(m.cells()["x0"]).item() != before[0]:
            raise KeyboardInterrupt
        calls.append(1)
        return bprop.stop_gradient(1.0) * m()

    optimizer._compiled = interrupted, bprop.value_and_grad(interrupted)
    with pytest.raises(KeyboardInterrupt):
        optimizer.minimise(interrupted, model, 3)
    assert calls
    assert (float(model.x0), float(model.x1)) == before


def test_a_function_that_does_not_compile_runs_op_by_op():
    def f(m):
        return m() if m.x0 < 5 else m() + 1

    assert optim.LBFGS().minimise(f, Two(-1.2, 1.0), 60).E < 1e-12


def test_what_it_refuses():
    model = Two(-1.2, 1.0)
    with pytest.raises(bprop.ArgumentError, match=r"call optimizer.minimise\(f, model\)"):
        optim.LBFGS().update(model, {})
    with pytest.raises(bprop.ArgumentError, match=r"LBFGS\.minimise: steps is an integer ≥ 1"):
        optim.LBFGS().minimise(rosenbrock, model, 0)
    with pytest.raises(bprop.NonFiniteError, match="not finite at the start"):
        optim.LBFGS().minimise(rosenbrock, Two(np.inf, 1.0))
    with pytest.raises(bprop.StateError, match="cannot run inside"):
        bprop.trace(lambda x: optim.LBFGS().step(rosenbrock, model))(1.0)
    optimizer = optim.LBFGS()
    optimizer.minimise(rosenbrock, model, 1)
    with pytest.raises(bprop.StateError, match="belongs to another model"):
        optimizer.minimise(rosenbrock, Two(0.0, 0.0))


def test_the_gradient_vanishes_as_far_as_rounding_lets_it():
    """Close to a minimum E > 0 its own rounding hides every gain: the slopes decide."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5))
    t = (x @ rng.normal(size=(5, 1)) + rng.normal(size=(200, 1)) > 0) * 1.0
    model, loss = nn.Linear(5, 1, np.float64, seed=0), nn.BinaryCrossEntropy()
    optimizer = optim.LBFGS(tolerance_gradient=1e-10, tolerance_change=0)
    found = optimizer.minimise(lambda model: loss(model(x), t), model)
    assert found.reason == "gradient"
    assert found.gradient <= 1e-10
    model.freeze()
    with pytest.raises(bprop.BpropError):
        optimizer.minimise(lambda model: loss(model(x), t), model)
    model.unfreeze()
    next(iter(model.cells().values())).trainable = False
    with pytest.raises(bprop.StateError, match="LBFGS: W was frozen after it had begun"):
        optimizer.minimise(lambda model: loss(model(x), t), model)
