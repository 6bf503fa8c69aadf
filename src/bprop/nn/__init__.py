"""Modules and losses: ``y = module.fprop(x)``, ``x_bar = module.bprop(y_bar)``, and ``module(x)`` as a pure function."""

from .activation import HardTanh, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from .classification_loss import (
    BinaryCrossEntropy,
    CrossEntropy,
    Hinge,
    MultiClassHinge,
    NegativeLogLikelihood,
    SoftMargin,
)
from .container import Sequential
from .distance_loss import CosineEmbedding, KLDivergence, TripletMargin
from .dropout import Dropout
from .frame import Frame, parameter, state
from .linear import Linear, seed
from .loss import Loss, SquaredError
from .module import Module
from .regression_loss import GaussianNLL, Huber, LogCosh, MeanAbsoluteError, MeanSquaredError, PoissonNLL, SmoothL1

__all__ = [
    "BinaryCrossEntropy",
    "CosineEmbedding",
    "CrossEntropy",
    "Dropout",
    "Frame",
    "GaussianNLL",
    "HardTanh",
    "Hinge",
    "Huber",
    "KLDivergence",
    "Linear",
    "LogCosh",
    "LogSoftmax",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Module",
    "MultiClassHinge",
    "NegativeLogLikelihood",
    "PoissonNLL",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "SmoothL1",
    "SoftMargin",
    "Softmax",
    "SquaredError",
    "Tanh",
    "TripletMargin",
    "parameter",
    "seed",
    "state",
]
