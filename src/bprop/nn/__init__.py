"""Modules and losses: ``y = module.fprop(x)``, ``x_bar = module.bprop(y_bar)``, and ``module(x)`` as a pure function."""

from . import initialiser as init
from .activation import LogSigmoid, LogSoftmax, Sigmoid, Softmax, Softmin, Softplus, Softsign, Tanh
from .cell import parameter, state
from .classification_loss import BinaryCrossEntropy, CrossEntropy, NegativeLogLikelihood
from .container import Parallel, Residual, Sequential
from .convolution import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from .default_generator import seed
from .distance_loss import CosineEmbedding, KLDivergence, TripletMargin
from .dropout import Dropout
from .frame import Frame
from .function import Flatten, Identity, Lambda
from .gate import GELU, GLU, HardSwish, Maxout, Mish, SiLU
from .hook import Hook
from .linear import Linear
from .loss import Loss, SquaredError
from .margin_loss import Hinge, MultiClassHinge, SoftMargin
from .module import Module
from .piecewise import HardShrink, HardSigmoid, HardTanh, ReLU6, SoftShrink, TanhShrink, Threshold
from .pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
)
from .rectifier import CELU, ELU, SELU, LeakyReLU, PReLU, ReLU, RReLU
from .regression_loss import GaussianNLL, Huber, LogCosh, MeanAbsoluteError, MeanSquaredError, PoissonNLL, SmoothL1
from .tie import tie

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BinaryCrossEntropy",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "CosineEmbedding",
    "CrossEntropy",
    "Dropout",
    "Flatten",
    "Frame",
    "GaussianNLL",
    "HardShrink",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Hinge",
    "Hook",
    "Huber",
    "Identity",
    "KLDivergence",
    "Lambda",
    "LeakyReLU",
    "Linear",
    "LogCosh",
    "LogSigmoid",
    "LogSoftmax",
    "Loss",
    "MaxPool1d",
    "MaxPool2d",
    "Maxout",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Mish",
    "Module",
    "MultiClassHinge",
    "NegativeLogLikelihood",
    "PReLU",
    "Parallel",
    "PoissonNLL",
    "RReLU",
    "ReLU",
    "ReLU6",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1",
    "SoftMargin",
    "SoftShrink",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softsign",
    "SquaredError",
    "Tanh",
    "TanhShrink",
    "Threshold",
    "TripletMargin",
    "init",
    "parameter",
    "seed",
    "state",
    "tie",
]
