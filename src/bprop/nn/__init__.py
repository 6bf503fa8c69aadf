"""Modules and losses: ``y = module.fprop(x)``, ``x_bar = module.bprop(y_bar)``, and ``module(x)`` as a pure function."""

from . import initialiser as init
from .activation import LogSigmoid, LogSoftmax, Sigmoid, Softmax, Softmin, Softplus, Softsign, Tanh
from .container import Parallel, Residual, Sequential
from .dropout import Dropout
from .frame import Frame, parameter, state
from .function import Flatten, Identity, Lambda
from .gate import GELU, GLU, HardSwish, Maxout, Mish, SiLU
from .hook import Hook
from .linear import Linear
from .loss import BinaryCrossEntropy, CrossEntropy, Loss, SquaredError
from .module import Module
from .piecewise import HardShrink, HardSigmoid, HardTanh, ReLU6, SoftShrink, TanhShrink, Threshold
from .rectifier import CELU, ELU, SELU, LeakyReLU, PReLU, ReLU, RReLU
from .stream import seed

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Dropout",
    "Flatten",
    "Frame",
    "HardShrink",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Hook",
    "Identity",
    "Lambda",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "Loss",
    "Maxout",
    "Mish",
    "Module",
    "PReLU",
    "Parallel",
    "RReLU",
    "ReLU",
    "ReLU6",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SoftShrink",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softsign",
    "SquaredError",
    "Tanh",
    "TanhShrink",
    "Threshold",
    "init",
    "parameter",
    "seed",
    "state",
]
