"""Every setting of every optimizer, proximal operator and schedule: its range to the last number, default and record."""

import inspect
import itertools

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.optim import schedule

CLASSES = {
    name: kind
    for name, kind in (*vars(optim).items(), *((f"schedule.{n}", k) for n, k in vars(schedule).items()))
    if inspect.isclass(kind)
    and issubclass(kind, optim.Optimizer | optim.Prox | schedule.Schedule)
    and not inspect.isabstract(kind)
}
CLASSES.pop("Optimizer", None)

# least number, whether it is allowed itself, and where it ends
POSITIVE, NOT_NEGATIVE, SHARE, OPEN_SHARE = (0, False, np.inf), (0, True, np.inf), (0, True, 1), (0, False, 1)
WHOLE = (1, True, 2**63)
RANGES = {
    "learning_rate": POSITIVE, "rate": POSITIVE, "factor": POSITIVE, "epsilon": POSITIVE, "initial": POSITIVE,
    "final": POSITIVE, "power": POSITIVE, "clip_norm": POSITIVE, "clip_value": POSITIVE, "weight_decay": NOT_NEGATIVE,
    "initial_sum": NOT_NEGATIVE, "strength": NOT_NEGATIVE, "l1": NOT_NEGATIVE, "l2": NOT_NEGATIVE,
    "decay": NOT_NEGATIVE, "start": NOT_NEGATIVE, "end": NOT_NEGATIVE, "minimum": NOT_NEGATIVE,
    "tolerance_gradient": NOT_NEGATIVE, "tolerance_change": NOT_NEGATIVE, "momentum": SHARE, "dampening": SHARE,
    "alpha": SHARE, "curvature": OPEN_SHARE, "decrease": (0, False, 0.9), "every": WHOLE, "steps": WHOLE,
    "steps_per_epoch": WHOLE, "history": WHOLE,
}  # fmt: skip
OWN = {
    ("Nesterov", "momentum"): OPEN_SHARE,
    ("LBFGS", "curvature"): (1e-4, False, 1),  # the decrease is less
    ("schedule.CosineWarmRestarts", "factor"): WHOLE,
    ("schedule.OneCycle", "steps"): (4, True, 2**63),  # 0.3 of less leaves no step to rise in
    ("schedule.OneCycle", "warm_up"): (0.1, False, 1),  # of 10 steps
}
GIVEN = {
    "learning_rate": 0.1, "rate": 0.1, "every": 3, "factor": 0.5, "milestones": (2, 5), "decay": 0.5, "steps": 10,
    "then": schedule.Constant(0.1), "schedule": schedule.Constant(0.1), "steps_per_epoch": 3, "prox": optim.L1(0.1),
    "strength": 0.1, "l1": 0.1, "l2": 0.1, "low": -1.0, "high": 1.0,
}  # fmt: skip
OPTIONS = ("weight_decay", "clip_norm", "clip_value")
NO_RANGE = {"milestones", "then", "schedule", "prox", "low", "high", "betas", "amsgrad", "nesterov", "centered"}


def parameters(name):
    own = inspect.signature(CLASSES[name]).parameters if not issubclass(CLASSES[name], optim.Optimizer) else None
    own = own or list(inspect.signature(CLASSES[name].__init__).parameters.values())[1:]
    own = list(own.values()) if not isinstance(own, list) else own
    return [one for one in own if one.kind is not inspect.Parameter.VAR_KEYWORD]


def needed(name):
    return {one.name: GIVEN[one.name] for one in parameters(name) if one.default is inspect.Parameter.empty}


SETTINGS = [
    (name, setting)
    for name, kind in CLASSES.items()
    for setting in dict.fromkeys(
        [one.name for one in parameters(name)]
        + (list(OPTIONS) if issubclass(kind, optim.Optimizer) and kind is not optim.LBFGS else [])
    )
    if setting not in NO_RANGE
]


@pytest.mark.parametrize(("name", "setting"), SETTINGS, ids=[f"{name} {setting}" for name, setting in SETTINGS])
def test_a_setting_has_its_range_to_the_last_number(name, setting):
    kind, given = CLASSES[name], needed(name)
    low, closed, high = OWN.get((name, setting)) or RANGES[setting]
    if (low, closed) == WHOLE[:2] or high == 2**63:
        good = [low, low + 7, np.int32(low + 1)]
        bad = [low - 1, -low, float(low), True, "1", None, 2**63]
    else:
        good = [low if closed else np.nextafter(low, 1) if low else 1e-300, min(high, 2.0) / 2, np.float32(0.25)]
        good += [np.nextafter(high, 0)] if high < np.inf else [1e300]
        bad = [low if not closed else low - 1e-300 if low else -1e-300, -1, np.nan, np.inf, high, "1", [0.5]]
        if setting not in ("clip_norm", "clip_value"):
            bad.append(None)
    for value in good:
        kind(**{**given, setting: value})
    for value in bad:
        with pytest.raises(bprop.ArgumentError, match=rf"^{kind.__name__}: "):
            kind(**{**given, setting: value})


@pytest.mark.parametrize("name", [name for name in CLASSES if "betas" in {one.name for one in parameters(name)}])
def test_betas_are_two_shares(name):
    kind = CLASSES[name]
    assert kind(betas=[0, np.nextafter(1, 0)]).betas == (0.0, np.nextafter(1, 0))
    for wrong in ((0.9,), (0.9, 0.9, 0.9), (1, 0.9), (0.9, 1), (-1e-9, 0.9), (0.9, -1e-9), (0.9, np.nan), 0.9, "ab"):
        with pytest.raises(bprop.ArgumentError, match=rf"^{kind.__name__}: betas are two numbers in \[0, 1\)"):
            kind(betas=wrong)


def test_the_numbers_of_a_box():
    for low, high in ((0.5, 0.5), (-np.inf, np.float32(1)), (0, np.int64(2))):
        assert optim.Box(low, high)(bprop.asarray([0.5]), 1.0).item() == 0.5
    for low, high in ((0.6, 0.5), ("0", 1), (0, "1"), (np.nan, 1), (0, np.nan), (None, 1)):
        with pytest.raises(bprop.ArgumentError, match=r"^Box: low and high are numbers, low ≤ high"):
            optim.Box(low, high)


def test_what_a_cycle_has_to_rise_in():
    schedule.OneCycle(0.1, 10, warm_up=0.1 + 1e-9)
    schedule.OneCycle(0.1, 2, warm_up=0.6)
    for steps, share in ((10, 0.1), (2, 0.5), (1, 0.99), (5, 0.0)):
        with pytest.raises(bprop.ArgumentError, match="leaves no step to rise in"):
            schedule.OneCycle(0.1, steps, warm_up=share)


# As published, and as PyTorch has them.
DEFAULTS = {
    "SGD": {"momentum": 0, "dampening": 0, "nesterov": False},
    "Nesterov": {"momentum": 0.9},
    "Adam": {"learning_rate": 1e-3, "betas": (0.9, 0.999), "epsilon": 1e-8, "amsgrad": False},
    "AdamW": {
        "learning_rate": 1e-3, "betas": (0.9, 0.999), "epsilon": 1e-8, "amsgrad": False, "weight_decay": 1e-2,
    },
    "Adagrad": {"learning_rate": 1e-2, "initial_sum": 0, "epsilon": 1e-10},
    "RMSprop": {"learning_rate": 1e-2, "alpha": 0.99, "epsilon": 1e-8, "momentum": 0, "centered": False},
    "Lion": {"learning_rate": 1e-4, "betas": (0.9, 0.99)},
    "LBFGS": {
        "learning_rate": 1, "history": 10, "tolerance_gradient": 1e-7, "tolerance_change": 1e-9, "decrease": 1e-4,
        "curvature": 0.9,
    },
    "schedule.Step": {"factor": 0.1},
    "schedule.MultiStep": {"factor": 0.1},
    "schedule.Linear": {"start": 1, "end": 0},
    "schedule.Polynomial": {"power": 1},
    "schedule.Cosine": {"minimum": 0},
    "schedule.CosineWarmRestarts": {"factor": 1, "minimum": 0},
    "schedule.OneCycle": {"warm_up": 0.3, "initial": 25, "final": 1e4},
    "schedule.WarmUp": {"start": 0},
}  # fmt: skip


def test_defaults_are_those_that_were_published():
    for name in CLASSES:
        defaults = {one.name: one.default for one in parameters(name) if one.default is not inspect.Parameter.empty}
        assert defaults == DEFAULTS.get(name, {}), name


OTHER = {
    "learning_rate": 0.25, "momentum": 0.5, "dampening": 0.25, "betas": (0.5, 0.75), "epsilon": 0.5, "amsgrad": True,
    "initial_sum": 0.5, "alpha": 0.5, "centered": True, "weight_decay": 0.125, "clip_norm": 2.0, "clip_value": 3.0,
    "factors": {"W": 0.5}, "history": 3, "tolerance_gradient": 0.5, "tolerance_change": 0.25, "decrease": 0.125,
    "curvature": 0.5,
}  # fmt: skip
OPTIMIZERS = [name for name, kind in CLASSES.items() if issubclass(kind, optim.Optimizer)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_settings_tell_every_setting_that_is_in_use(name):
    """What a resumed run compares: nothing that changes an update may be missing."""
    kind, given = CLASSES[name], {**needed(name), "learning_rate": 0.5}
    plain = kind(**given).settings()
    own = [one.name for one in parameters(name)]
    options = [] if kind is optim.LBFGS else [*OPTIONS, "factors"]
    for setting in dict.fromkeys([*own, *options]):
        if setting in ("prox", "nesterov"):
            continue
        more = {"momentum": 0.5} if setting == "dampening" else {}
        told = kind(**{**given, **more, setting: OTHER[setting]}).settings()
        assert told[setting] == OTHER[setting]
        assert {k: v for k, v in told.items() if k not in (setting, *more)} == {
            k: v for k, v in plain.items() if k not in (setting, *more)
        }
    assert plain["name"] == name
    assert not {"factors", "clip_norm", "clip_value", "dampening", "amsgrad"} & plain.keys()
    if kind is optim.SGD:
        assert "nesterov" not in plain
        assert optim.SGD(0.5, 0.5, nesterov=True).settings()["nesterov"] is True
        assert optim.Nesterov(0.5).settings()["nesterov"] is True
    if kind is optim.ProximalGradient:
        assert plain["prox"] == repr(optim.L1(0.1))


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "LBFGS"])
def test_gradients_are_converted_to_the_dtype_of_their_parameter(name):
    g = {"W": np.array([[0.1, -0.7]]), "b": np.array([1 / 3])}
    models = [nn.Linear(2, 1, np.float32, seed=0) for _ in range(2)]
    optimizers = [CLASSES[name](**{**needed(name), "weight_decay": 0.5}) for _ in range(2)]
    optimizers[0].update(models[0], g)
    optimizers[1].update(models[1], {path: one.astype(np.float32) for path, one in g.items()})
    for ours, theirs in zip((models[0], optimizers[0]), (models[1], optimizers[1]), strict=True):
        for path, cell in ours.cells().items():
            other = theirs.cells()[path].array
            assert (
                cell.array.dtype
                == other.dtype
                == (np.float32 if "W" in path or "b" in path.split(".") else other.dtype)
            )
            np.testing.assert_array_equal(np.asarray(cell.array), np.asarray(other))


def test_slots_are_what_they_are_called():
    """A running mean has the sign of the gradients: runs are resumed with it."""
    g = {"W": np.array([[0.5, -2.0]]), "b": np.array([1.0])}
    for optimizer, slot, expected in (
        (optim.RMSprop(0.1, 0.75, centered=True), "m", 0.25), (optim.Adam(0.1, (0.75, 0.5)), "m", 0.25),
        (optim.Lion(0.1, (0.5, 0.75)), "m", 0.25), (optim.SGD(0.1, 0.5), "velocity", 1.0),
    ):  # fmt: skip
        optimizer.update(nn.Linear(2, 1, np.float64, seed=0), g)
        np.testing.assert_array_equal(np.asarray(optimizer.cells()[f"W.{slot}"].array), expected * g["W"])


@pytest.mark.parametrize("wrong", [0, -0.0, -1, np.nan, np.inf, "0.1", None, [0.1], np.ones(1)])
def test_a_learning_rate_that_is_none(wrong):
    optimizer = optim.SGD(0.5)
    with pytest.raises(bprop.ArgumentError, match=r"^SGD: the "):
        optimizer.learning_rate = wrong
    assert float(optimizer.learning_rate) == 0.5


def test_entries_are_clipped_before_their_norm():
    """So that one wild entry does not take the others' share."""
    g = {"W": np.array([[30.0, 0.3]]), "b": np.array([0.4])}
    for run in (lambda o, m: o.update(m, g), bprop.compile(lambda o, m: o.update(m, g))):
        model, optimizer = nn.Linear(2, 1, np.float64, seed=0), optim.SGD(1.0, clip_value=1.0, clip_norm=0.5)
        before = np.asarray(model.W)
        run(optimizer, model)
        norm = np.sqrt(1 + 0.09 + 0.16)
        assert float(optimizer.gradient_norm) == pytest.approx(norm, rel=1e-15)
        np.testing.assert_allclose(
            before - np.asarray(model.W), np.array([[1.0, 0.3]]) * 0.5 / (norm + 1e-6), rtol=1e-13
        )


@pytest.mark.parametrize("sizes", list(itertools.product((0.0, 1e-200, 1.0), repeat=2)))
def test_the_norm_of_two_arrays(sizes):
    first, second = sizes
    norm = optim.global_norm({"a": np.array([3.0, 0.0]) * first, "b": np.array([[4.0]]) * second, "none": np.zeros(0)})
    assert float(norm) == pytest.approx(np.hypot(3 * first, 4 * second), rel=1e-15)
    assert float(optim.global_norm({"none": np.zeros((0, 2))})) == 0
    for call in (optim.global_norm, lambda g: optim.clip_norm(g, 1.0), lambda g: optim.clip_value(g, 1.0)):
        with pytest.raises(bprop.ArgumentError, match="gradients map paths to arrays, not list"):
            call([np.zeros(1)])


def test_clipping_begins_at_the_limit():
    """The 10⁻⁶ is added to the norm: a norm of exactly c is scaled, one of c - 2·10⁻⁶ is not."""
    for norm, factor in ((1.0, 1 / (1 + 1e-6)), (1 - 2e-6, 1.0), (3.0, 1 / (3 + 1e-6))):
        clipped, told = optim.clip_norm({"a": np.array([norm])}, 1.0)
        assert clipped["a"].item() == pytest.approx(norm * factor, rel=1e-15)
        assert float(told) == norm
    assert optim.clip_value({"a": np.array([-2.0, -1.0, 1.0, 2.0, 0.5])}, 1.0)["a"].tolist() == [-1, -1, 1, 1, 0.5]


@pytest.mark.parametrize("size", [1e-200, 1e-20, 0.5, 1.0, 1e20, 1e200])
def test_the_norm_of_tiny_and_huge_gradients(size):
    """Its squares have no float where the norm has one."""
    norm = optim.global_norm({"W": np.full((2, 2), size), "b": np.zeros(2)})
    np.testing.assert_allclose(norm, 2 * size, rtol=1e-15)
