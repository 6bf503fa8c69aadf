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


def test_zeros_of_a_layer_have_the_dtype_of_their_value():
    class Part(nn.Module):
        def __init__(self):
            self.idle = nn.parameter(np.ones(3, np.float32))

        def fprop(self, x, unread, numbers):
            return x * bprop.sum(bprop.asarray(numbers, dtype=np.float32))

    layer, x = Part(), np.ones(2, np.float32)
    layer.fprop(x, np.ones((1, 2), np.float32), [1, 2])
    x_bar, unread_bar, numbers_bar = layer.bprop(x)
    assert x_bar.tolist() == [3.0, 3.0]
    assert unread_bar.spec == bprop.zeros((1, 2), dtype=np.float32).spec
    assert layer.idle_bar.spec == bprop.zeros(3, dtype=np.float32).spec
    assert numbers_bar is None  # integers have no derivative
