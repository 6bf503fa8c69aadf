"""Modules and losses: ``y = module.fprop(x)``, ``x_bar = module.bprop(y_bar)``, and ``module(x)`` as a pure function."""

from .activation import HardTanh, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from .container import Sequential
from .dropout import Dropout
from .frame import Frame, parameter, state
from .linear import Linear, seed
from .loss import BinaryCrossEntropy, CrossEntropy, Loss, SquaredError
from .module import Module

__all__ = [
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Dropout",
    "Frame",
    "HardTanh",
    "Linear",
    "LogSoftmax",
    "Loss",
    "Module",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "SquaredError",
    "Tanh",
    "parameter",
    "seed",
    "state",
]
