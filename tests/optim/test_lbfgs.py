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


def searched(points, t=1.0, limit=None, **options):
    """Run a search along a line with the given (E, slope) at its first trials, and the last at all others."""
    tried = []

    def at(t):
        tried.append(t)
        return Point(t, *points[min(len(tried), len(points)) - 1], np.zeros(1))

    options = options if limit is None else {**options, "limit": limit}
    return strong_wolfe(at, Point(0.0, 0.0, -1.0, np.zeros(1)), t, **options), tried


@pytest.mark.parametrize(("slope", "fine"), [(0.9, True), (-0.9, True), (-0.9 - 1e-12, False), (0.9 + 1e-12, False)])
def test_a_slope_at_the_edge_of_the_second_condition(slope, fine):
    found, tried = searched([(-0.5, slope), (-0.6, 0.0)])
    assert (found.t == 1.0) is (len(tried) == 1) is fine


@pytest.mark.parametrize(("t", "E", "fine"), [(1.0, -1.0001e-4, True), (1.0, -0.9999e-4, False), (2.0, -1.9e-4, False)])
def test_a_value_at_the_edge_of_the_first_condition(t, E, fine):
    found, tried = searched([(E, 0.0), (-0.6, 0.0)], t)
    assert (found.t == t) is (len(tried) == 1) is fine


def test_conditions_of_ones_own():
    assert searched([(-0.24, 0.0), (-0.6, 0.0)], decrease=0.25)[0].E == -0.6
    assert searched([(-0.26, 0.0), (-0.6, 0.0)], decrease=0.25)[0].E == -0.26
    assert searched([(-0.5, 0.2), (-0.6, 0.0)], curvature=0.1)[0].E == -0.6


def test_a_search_gives_up():
    """After 25 points beyond the first, or where the bracket is shorter than told; with the lowest it has seen."""
    descends = [(-1.0 - n, -1.0) for n in range(60)]
    found, tried = searched(descends)
    assert (len(tried), found.t, found.E) == (26, tried[-1], -26.0)
    assert len(searched(descends, limit=3)[1]) == 4
    climbs = [(1.0 + n, 1.0) for n in range(60)]  # a bracket that only shrinks towards the origin
    found, tried = searched(climbs)
    assert (len(tried), found.t) == (26, 0.0)
    for resolution in (0.3, 0.01):
        found, tried = searched(climbs, resolution=resolution)
        assert found.t == 0
        assert tried[-1] < resolution <= tried[-2]


def test_where_a_bracket_begins():
    """Where E falls no more, from the third trial on also where it stays what it was, or where the slope turns."""
    for points, brackets in (
        ([(-1.0, -1.0), (-2.0, -1.0), (-2.0, -1.0), (-3.0, 0.0)], True),
        ([(-1.0, -1.0), (-2.0, -1.0), (-2.5, -1.0), (-3.0, 0.0)], False),
        ([(-1.0, -1.0), (-2.0, -1.0), (-2.5, 1.0), (-3.0, 0.0)], True),
    ):
        found, tried = searched(points)
        assert found.E == -3.0
        assert tried[:3] == sorted(tried[:3])
        assert (tried[1] < tried[3] < tried[2]) is brackets
        assert (tried[3] > tried[2]) is not brackets
    _, tried = searched([(-1.0, -1.0), (-1.0, -1.0), (-3.0, 0.0)])
    assert tried == sorted(tried)


def test_infinitely_high_points_are_too_far():
    for wrong in ((np.nan, 0.0), (np.inf, 0.0), (-np.inf, 0.0), (-1.0, np.nan), (-1.0, np.inf)):
        found, tried = searched([wrong, (-0.3, 0.0)])
        assert found.E == -0.3
        assert tried == [1.0, 0.5]  # no cubic through what is not finite: the middle


@pytest.mark.parametrize("t", [0.5, 2.0, 7.0])
def test_the_next_step_is_the_minimum_of_a_cubic(t):
    """Found in one step where E is a cubic: within the bracket, and beyond the first trial."""
    a = 3.0
    line = lambda t: (t**3 / 3 - (a + 0.5) * t * t / 2 - 1.5 * a * t, t * t - (a + 0.5) * t - 1.5 * a)
    least = (a + 0.5 + np.sqrt((a + 0.5) ** 2 + 6 * a)) / 2
    tried = []

    def at(t):
        tried.append(t)
        return Point(t, *line(t), np.zeros(1))

    found = strong_wolfe(at, at(0.0), t, curvature=1e-6)
    assert tried[2] == pytest.approx(least, rel=1e-14)
    assert found.t == tried[2]


def test_rounding_hides_a_gain_near_the_minimum():
    """Where E differs by at most 4 units in the last place, a flat slope suffices, though E has not fallen enough."""
    for ulps, fine in ((4, True), (5, False)):
        tried = []

        def at(t, E=1 + ulps * 2.0**-52, tried=tried):
            tried.append(t)
            return Point(t, E if len(tried) == 1 else 0.5, 0.0, np.zeros(1))

        found = strong_wolfe(at, Point(0.0, 1.0, -1.0, np.zeros(1)), 1.0)
        assert (found.t == 1.0) is fine


class Bowl(nn.Module):
    """E = ½ Σ cᵢ wᵢ², in two parameters."""

    def __init__(self, *w):
        self.a, self.b = nn.parameter(np.array(w[:1])), nn.parameter(np.array(w[1:]))

    def fprop(self):
        return 0.5 * (bprop.sum(self.a**2) + 4 * bprop.sum(self.b**2))


def test_where_a_minimisation_ends():
    for w, options, reason, steps in (
        ((0.5, 0.0), {"tolerance_gradient": 0.5}, "gradient", 0),
        ((0.5, 0.0), {"tolerance_gradient": 0.4999, "tolerance_change": 0.0}, "gradient", 1),
        ((0.5, 0.0), {"tolerance_gradient": 0.0, "tolerance_change": 0.2501}, "change", 0),  # the slope is -0.25
        ((0.5, 0.3), {"tolerance_gradient": 0.0, "tolerance_change": 1.0}, "change", 1),
        ((0.5, 0.0), {"tolerance_gradient": 0.0, "tolerance_change": 0.2499}, "gradient", 1),
    ):
        optimizer = optim.LBFGS(**options)
        found = optimizer.minimise(lambda m: m(), Bowl(*w), 1 if reason == "gradient" else 9)
        assert (found.reason, found.steps) == (reason, steps)
        assert int(optimizer.count) == steps
    found = optim.LBFGS(tolerance_gradient=0.0, tolerance_change=0.0).minimise(lambda m: m(), Bowl(1.0, 0.3), 2)
    assert (found.reason, found.steps) == ("steps", 2)


def test_the_first_trial_is_no_longer_than_one():
    """min(1, 1/|g|₁) times the learning rate, and the learning rate from then on."""
    for w, rate, expected in (((8.0, 0.0), 1.0, 1 / 8), ((0.25, 0.0), 1.0, 1.0), ((3.0, 1.0), 0.5, 0.5 / 7)):
        model, tried = Bowl(*w), []

        def f(m, tried=tried):
            tried.append(float(np.asarray(m.a.concrete() if hasattr(m.a, "concrete") else m.a)[0]))
            return m()

        optimizer = optim.LBFGS(rate)
        optimizer._compiled = f, lambda m, f=f: bprop.value_and_grad(lambda m: m())(m) if f(m) is not None else None
        optimizer.step(f, model)
        assert tried[1] == pytest.approx(w[0] - expected * w[0], rel=1e-14)


def test_the_history_is_as_long_as_told():
    """And holds no pair along which E does not curve up."""
    for history in (1, 3):
        model, optimizer = Two(-1.2, 1.0), optim.LBFGS(history=history)
        kept = []
        for _ in range(5):
            optimizer.step(rosenbrock, model)
            kept.append(int(optimizer.cells()["pairs"].read()))
            s, y = (np.asarray(optimizer.cells()[name].read()) for name in "sy")
            assert s.shape == (history, 2)
            assert (np.einsum("ij,ij->i", s, y)[history - kept[-1] :] > 0).all()
            assert not s[: history - kept[-1]].any()
        assert kept == [min(n, history) for n in range(1, 6)]
    optimizer = optim.LBFGS()
    optimizer.init(Two(0.0, 0.0))
    for curve, kept in ((1e-10, 0), (-1.0, 0), (1.01e-10, 1)):
        optimizer._keep(np.array([1.0, 0.0]), np.array([curve, 0.0]))
        assert int(optimizer.cells()["pairs"].read()) == kept


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
    with pytest.raises(bprop.ArgumentError, match=r"LBFGS\.minimise: steps is a positive integer"):
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
