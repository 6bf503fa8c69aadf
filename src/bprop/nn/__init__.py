"""Modules and losses: ``y = module.fprop(x)``, ``x_bar = module.bprop(y_bar)``, and ``module(x)`` as a pure function."""

from .. import formula, gradients, region  # noqa: F401 - whole rooms first: see core/lazy.py
from . import initialiser as init
from . import weight_name as names
from .activation import LogSigmoid, LogSoftmax, Sigmoid, Softmax, Softmin, Softplus, Softsign, Tanh
from .batch_norm import BatchNorm1d, BatchNorm2d, InstanceNorm1d, InstanceNorm2d
from .cell import parameter, state
from .classification_loss import BinaryCrossEntropy, CrossEntropy, NegativeLogLikelihood
from .container import Parallel, Residual, Sequential
from .convolution import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from .default_generator import seed
from .distance_loss import CosineEmbedding, KLDivergence, TripletMargin
from .dot_product_attention import attention
from .dropout import Dropout, Dropout1d, Dropout2d
from .embedding import Embedding
from .frame import Frame
from .function import Flatten, Identity, Lambda, Reshape, Unflatten
from .gate import GELU, GLU, HardSwish, Maxout, Mish, SiLU
from .group_norm import GroupNorm
from .hook import Hook
from .layer_norm import LayerNorm, RMSNorm
from .linear import Linear
from .loss import Loss, SquaredError
from .margin_loss import Hinge, MultiClassHinge, SoftMargin
from .module import Module
from .multi_head_attention import MultiHeadAttention
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
from .position import LearnedPositions, RotaryPositions, SinusoidalPositions, rotary
from .rectifier import CELU, ELU, SELU, LeakyReLU, PReLU, ReLU, RReLU
from .recurrent import GRU, LSTM, RNN
from .recurrent_cell import GRUCell, LSTMCell, RNNCell
from .regression_loss import GaussianNLL, Huber, LogCosh, MeanAbsoluteError, MeanSquaredError, PoissonNLL, SmoothL1
from .sequence_mask import sequence_mask
from .tie import tie
from .transformer import FeedForward, TransformerDecoderBlock, TransformerEncoderBlock
from .upsample import Upsample

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "BinaryCrossEntropy",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "CosineEmbedding",
    "CrossEntropy",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Embedding",
    "FeedForward",
    "Flatten",
    "Frame",
    "GRUCell",
    "GaussianNLL",
    "GroupNorm",
    "HardShrink",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Hinge",
    "Hook",
    "Huber",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "KLDivergence",
    "LSTMCell",
    "Lambda",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositions",
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
    "MultiHeadAttention",
    "NegativeLogLikelihood",
    "PReLU",
    "Parallel",
    "PoissonNLL",
    "RMSNorm",
    "RNNCell",
    "RReLU",
    "ReLU",
    "ReLU6",
    "Reshape",
    "Residual",
    "RotaryPositions",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositions",
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
    "TransformerDecoderBlock",
    "TransformerEncoderBlock",
    "TripletMargin",
    "Unflatten",
    "Upsample",
    "attention",
    "init",
    "names",
    "parameter",
    "rotary",
    "seed",
    "sequence_mask",
    "state",
    "tie",
]
