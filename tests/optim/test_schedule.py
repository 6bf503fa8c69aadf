"""Schedules inside steps, resumed, set by hand, and what they refuse."""

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.compile import compile
from bprop.optim import schedule

X, T = np.random.default_rng(1).normal(size=(2, 8, 3))
LOSS = nn.SquaredError()

SCHEDULES = [
    schedule.Constant(0.1),
    schedule.Step(0.1, 3),
    schedule.MultiStep(0.1, (2, 5)),
    schedule.Exponential(0.1, 0.9),
    schedule.InverseTime(0.1, 0.5),
    schedule.Linear(0.1, 6),
    schedule.Polynomial(0.1, 6, power=0.5),
    schedule.Cosine(0.1, 6, minimum=0.02),
    schedule.CosineWarmRestarts(0.1, 2, factor=2),
    schedule.OneCycle(0.1, 10),
    schedule.WarmUp(schedule.Cosine(0.1, 6), 4),
    schedule.PerEpoch(schedule.Exponential(0.1, 0.5), 3),
]


def step(model, optimizer, x, t):
    _, gradients = bprop.value_and_grad(lambda m: LOSS(m(x), t))(model)
    optimizer.update(model, gradients)
    return optimizer.learning_rate


@pytest.mark.parametrize("rate", SCHEDULES, ids=repr)
def test_a_schedule_runs_inside_a_compiled_step(rate):
    """One program for all rates, and the parameters and rates of the eager step."""
    models = [nn.Linear(3, 3, np.float64, seed=0) for _ in range(2)]
    optimizers = [optim.SGD(rate, momentum=0.5) for _ in range(2)]
    native = compile(step)
    optimizers[1].init(models[1])
    for count in range(12):
        assert float(optimizers[0].learning_rate) == float(rate(count))
        np.testing.assert_allclose(float(optimizers[1].learning_rate), float(rate(count)), rtol=1e-14, atol=1e-18)
        shown = step(models[0], optimizers[0], X, T), native(models[1], optimizers[1], X, T)
        np.testing.assert_allclose(np.asarray(shown[1]), np.asarray(shown[0]), rtol=1e-14, atol=1e-18)
    assert len(native.programs) == 1
    np.testing.assert_allclose(np.asarray(models[1].W), np.asarray(models[0].W), rtol=1e-13)


def test_a_resumed_count_resumes_the_schedule():
    rate = schedule.WarmUp(schedule.Cosine(0.1, 6), 4)
    model, whole = nn.Linear(3, 3, np.float64, seed=0), optim.Adam(rate)
    for _ in range(5):
        step(model, whole, X, T)
    other, resumed = nn.Linear(3, 3, np.float64, seed=1), optim.Adam(rate)
    resumed.init(other)
    for ours, theirs in ((resumed, whole), (other, model)):
        for path, cell in ours.cells().items():
            cell.write(theirs.cells()[path].read())
    for _ in range(5):
        step(model, whole, X, T)
        step(other, resumed, X, T)
    assert np.array_equal(np.asarray(other.W), np.asarray(model.W))
    assert float(resumed.learning_rate) == float(whole.learning_rate) == float(rate(10))


def test_a_number_ends_a_schedule_and_a_schedule_may_come_later():
    model, optimizer = nn.Linear(3, 3, np.float64, seed=0), optim.SGD(schedule.Exponential(0.1, 0.5))
    native = compile(step)
    rates = [native(model, optimizer, X, T).item() for _ in range(2)]
    assert rates == [0.05, 0.025]
    optimizer.learning_rate = 0.3
    assert [native(model, optimizer, X, T).item() for _ in range(2)] == [0.3, 0.3]
    optimizer.learning_rate = schedule.Step(0.1, 2, factor=0.5)  # the count goes on: it is 4
    assert float(optimizer.learning_rate) == 0.025
    assert [native(model, optimizer, X, T).item() for _ in range(2)] == [0.025, 0.0125]
    optimizer.learning_rate = schedule.Step(0.2, 2, factor=0.5)
    assert native(model, optimizer, X, T).item() == 0.025
    assert "schedule=Step(rate=0.2, every=2, factor=0.5)" in repr(optimizer)


def test_the_cosine_keeps_its_digits_to_the_end():
    import mpmath

    count = np.array([0, 1, 333, 500, 501, 998, 999])
    rate = schedule.Cosine(1.0, 1000)
    for t in count:
        with mpmath.workdps(40):
            exact = mpmath.cos(mpmath.pi * int(t) / 2000) ** 2
        assert abs(mpmath.mpf(float(rate(t))) / exact - 1) < 4 * 2.0**-52


def test_restarts_begin_exactly():
    for factor in (2, 3, 5):
        rate, begin = schedule.CosineWarmRestarts(0.1, 7, factor=factor), 0
        for run in range(12):
            assert float(rate(begin)) == 0.1
            assert run == 0 or float(rate(begin - 1)) < 0.05
            begin += 7 * factor**run


def test_fit_logs_the_rate():
    from bprop.train import fit

    rate = schedule.PerEpoch(schedule.Exponential(0.1, 0.5), steps_per_epoch=2)
    model = nn.Linear(3, 3, np.float64, seed=0)
    run = fit(model, LOSS, optim.SGD(rate), (X, T), epochs=3, batch_size=4, progress=False)
    assert [entry["learning_rate"] for entry in run.history] == [0.05, 0.025, 0.0125]
    assert run.config["optimizer"]["schedule"] == repr(rate)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: schedule.Constant(0), "Constant: rate is a finite number > 0, not 0"),
        (lambda: schedule.Step(0.1, 0), "Step: every is a positive integer, not 0"),
        (lambda: schedule.Step(0.1, 3, factor=-1), "Step: factor is a finite number > 0, not -1"),
        (lambda: schedule.MultiStep(0.1, 3), "MultiStep: milestones are integers"),
        (lambda: schedule.MultiStep(0.1, (1.5,)), "MultiStep: a milestone is a positive integer"),
        (lambda: schedule.Cosine("0.1", 3), "Cosine: rate is a finite number"),
        (lambda: schedule.Cosine(0.1, 3, minimum=np.nan), "Cosine: minimum is a finite number"),
        (lambda: schedule.OneCycle(0.1, 3), "OneCycle: warm_up = 0.3 of 3 steps"),
        (lambda: schedule.WarmUp(0.1, 3), "WarmUp: 0.1 is no schedule: write Constant"),
        (lambda: schedule.PerEpoch(0.1, 3), "PerEpoch: 0.1 is no schedule"),
        (lambda: optim.SGD(schedule.Cosine), r"SGD: Cosine is a class: write schedule.Cosine\(…\)"),
    ],
)
def test_bad_settings_name_schedule_and_argument(make, text):
    with pytest.raises(bprop.ArgumentError, match=text):
        make()
