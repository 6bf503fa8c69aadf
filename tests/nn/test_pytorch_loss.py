"""Losses and their derivatives against what PyTorch computes: numbers in pytorch_loss.json, made by record_loss.py."""

import json
from pathlib import Path

import numpy as np
import pytest

import bprop
from bprop import nn
from bprop.compile import compile

RECORD = json.loads(Path(__file__).with_name("pytorch_loss.json").read_text())
INPUTS = {name: np.array(value) for name, value in RECORD["inputs"].items()}
CASES = {}
for one in RECORD["cases"]:
    options = ", ".join(f"{name}={value}" for name, value in one["options"].items() if value is not None)
    CASES[f"{one['kind']}({options}) of {' '.join(one['inputs'])}"] = one


def loss_of(one):
    return getattr(nn, one["kind"])(**one["options"])


def assert_equals_record(ours, theirs, tolerance=1e-14):
    """Relative to the largest entry, of the order of a few units in the last place of it."""
    ours, theirs = np.asarray(ours, np.float64), np.array(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.max(np.abs(theirs)))


@pytest.mark.parametrize("name", CASES)
def test_value_and_derivatives_are_pytorchs(name):
    """By grad, and by fprop and bprop, which answers for outputs only."""
    one = CASES[name]
    loss, inputs = loss_of(one), [INPUTS[part] for part in one["inputs"]]
    E = loss.fprop(*inputs)
    assert_equals_record(E, one["value"])
    bars = loss.bprop(np.ones(E.shape))
    answers = dict(zip(loss.answers, bars if isinstance(bars, tuple) else (bars,), strict=True))
    places = [int(place) for place in one["gradients"]]
    derived = bprop.grad(lambda *xs: bprop.sum(loss(*xs)), tuple(places))(*inputs)
    for place, bar in zip(places, derived, strict=True):
        assert_equals_record(bar, one["gradients"][str(place)])
        if place in answers:
            assert_equals_record(answers[place], one["gradients"][str(place)])


KINDS = {}
for label, one in CASES.items():
    settings = tuple(name for name, value in one["options"].items() if value not in (None, False, 0.0))
    if one["options"]["reduction"] == "mean" and "far" not in one["inputs"]:
        KINDS.setdefault((one["kind"], settings), label)


@pytest.mark.parametrize("name", KINDS.values())
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_compiled_is_eager(name, dtype):
    one = CASES[name]
    loss = loss_of(one)
    inputs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in (INPUTS[part] for part in one["inputs"])]
    places = tuple(int(place) for place in one["gradients"])
    step = bprop.value_and_grad(lambda *xs: loss(*xs), places)
    eager, native = step(*inputs), compile(step)(*inputs)
    tolerance = 1e-14 if dtype == np.float64 else 2e-6
    for ours, theirs in zip((eager[0], *eager[1]), (native[0], *native[1]), strict=True):
        assert ours.dtype == theirs.dtype == dtype
        assert_equals_record(theirs, np.asarray(ours, np.float64), tolerance)
    assert_equals_record(eager[0], one["value"], tolerance)


def test_every_loss_is_compared():
    own = {"SquaredError", "Hinge", "LogCosh", "Loss"}  # the lecture's, and two that PyTorch does not have
    losses = {
        name for name in nn.__all__ if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Loss)
    }
    assert losses - own == {one["kind"] for one in CASES.values()}
