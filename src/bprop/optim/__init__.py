"""Update rules: from gradients to new parameters."""

from . import schedule
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .clip import clip_norm, clip_value, global_norm
from .lbfgs import LBFGS
from .lion import Lion
from .optimizer import Optimizer
from .proximal import L1, L2, Box, ElasticNet, GroupL1, NonNegative, Prox, ProximalGradient
from .rmsprop import RMSprop
from .sgd import SGD, Nesterov

__all__ = [
    "L1",
    "L2",
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Box",
    "ElasticNet",
    "GroupL1",
    "Lion",
    "Nesterov",
    "NonNegative",
    "Optimizer",
    "Prox",
    "ProximalGradient",
    "RMSprop",
    "clip_norm",
    "clip_value",
    "global_norm",
    "schedule",
]
