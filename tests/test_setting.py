"""Settings of everything that takes numbers: whatever is given, it is taken, or refused by an error that names it."""

import contextlib
import inspect
from datetime import timedelta

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.nn import initialiser
from bprop.optim import schedule
from bprop.train import EarlyStopping
from support.training import fit_line

NAN, INF = float("nan"), float("inf")
WRONG = [NAN, INF, -INF, True, "a", None, 1j, 10**400, -1, [1], b"1", np.float64(NAN), 2**70, object()]
LENGTHS = ("step", "period", "every", "length")


def classes(module, kind):
    return [value for name, value in sorted(vars(module).items()) if inspect.isclass(value) and issubclass(value, kind)]


CALLS = [
    *[one for one in classes(nn, nn.Module) if one is not nn.Module],
    *[one for one in classes(optim, object) if not inspect.isabstract(one)],
    *[getattr(schedule, name) for name in schedule.__all__ if name not in ("Schedule",)],
    *[getattr(initialiser, name) for name in initialiser.__all__ if name not in ("Initialiser", "fans")],
    EarlyStopping, bprop.Generator, bprop.Generator(0).uniform, bprop.Generator(0).normal, bprop.Generator(0).permutation,
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__qualname__)
def test_no_setting_raises_a_bare_error(call):
    parameters = {
        name: one for name, one in inspect.signature(call).parameters.items()
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    }  # fmt: skip
    needed = {
        name: 10 if any(part in name for part in LENGTHS) or (issubclass(type(call), type) and issubclass(call, nn.Module)) else 0.1
        for name, one in parameters.items() if one.default is one.empty
    }  # fmt: skip
    for name, one in parameters.items():
        if not isinstance(one.default, int | float) and one.default is not one.empty:
            continue
        for value in WRONG:
            with contextlib.suppress(bprop.BpropError):
                call(**{**needed, name: value})


REFUSED = {
    "low is at most high": lambda: bprop.Generator(0).uniform((2,), low=2, high=1),
    "low is a finite number": lambda: bprop.Generator(0).uniform((2,), low=NAN),
    "high is a finite number, not inf": lambda: bprop.Generator(0).uniform((2,), high=INF),
    "deviation is a finite number ≥ 0": lambda: bprop.Generator(0).normal((2,), deviation=-1),
    "mean is a finite number": lambda: bprop.Generator(0).normal((2,), mean=NAN),
    "probability is a number in \\[0, 1\\], not 'a'": lambda: bprop.Generator(0).bernoulli("a"),
    r"probability is a number in \[0, 1\], not -0\.5": lambda: bprop.Generator(0).bernoulli(-0.5),
    "uniform: low is at most high": lambda: nn.init.uniform(2, 1),
    "constant: value": lambda: nn.init.constant(NAN),
    "glorot_uniform: gain": lambda: nn.init.glorot_uniform(-1),
    "orthogonal: gain": lambda: nn.init.orthogonal("a"),
    "gain: negative_slope": lambda: nn.init.gain("leaky_relu", INF),
    "normal: mean": lambda: nn.init.normal(NAN),
    "checkpoint_every is a time, 0 or more": lambda: fit_line(checkpoint_every=timedelta(seconds=-1)),
    "checkpoint_every is a positive integer of updates": lambda: fit_line(checkpoint_every=-5),
    "epochs is a positive integer": lambda: fit_line(epochs=2**63),
    "title is a text": lambda: fit_line(title=10**400),
    "class_weights": lambda: fit_line(class_weights=10**400),
    "min_delta": lambda: EarlyStopping(min_delta=INF),
    "Dropout: p": lambda: nn.Dropout(10**400),
    "the learning rate": lambda: optim.SGD(True),
    "an integer of 1,329 bits": lambda: bprop.grad(lambda x: x * x)(10**400),
    "an integer of 1,329 bits as": lambda: bprop.vjp(lambda x: x * x, 10**400),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text):
    with pytest.raises(bprop.BpropError, match=text):
        REFUSED[text]()
