"""A parameter that the result does not depend on gets zeros and a line saying so; a whole argument is an error."""

import numpy as np
import pytest

import bprop
from bprop import nn


class Half(nn.Module):
    def __init__(self):
        self.used = nn.parameter(bprop.ones(2))
        self.idle = nn.parameter(bprop.ones(3))

    def fprop(self, x):
        return x * self.used


def loss(model):
    return bprop.sum(model(np.ones(2)))


def test_an_idle_parameter_is_named_and_gets_zeros():
    # planted: without the call of `_lint` no warning comes
    with pytest.warns(bprop.UnreachedWarning, match="parameter idle"):
        gradients = bprop.grad(loss)(Half())
    assert gradients["idle"].tolist() == [0, 0, 0]
    assert gradients["used"].tolist() == [1, 1]


def test_also_while_compiling():
    with pytest.warns(bprop.UnreachedWarning, match="parameter idle"):
        bprop.compile(lambda model: bprop.grad(loss)(model)["used"])(Half())


def test_zeros_on_request_need_no_warning():
    assert bprop.grad(loss, unreached="zeros")(Half())["idle"].tolist() == [0, 0, 0]


def test_a_whole_argument_is_an_error_while_compiling_too():
    with pytest.raises(bprop.UnreachedError, match="argument 0"):
        bprop.compile(lambda x: bprop.grad(lambda x: bprop.sum(bprop.stop_gradient(x)))(x))(np.ones(2))


@pytest.mark.parametrize(("t", "y", "E"), [(1.0, np.inf, 0.0), (0.0, -np.inf, 0.0), (1.0, -np.inf, np.inf)])
def test_infinite_logits_of_a_certain_target(t, y, E):
    assert nn.BinaryCrossEntropy()([y], [t]).item() == E
