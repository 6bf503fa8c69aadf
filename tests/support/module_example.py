"""One example or more of every module, and the ways to its numbers: tests/nn/test_registry.py runs over them."""

import json
from pathlib import Path

import numpy as np

import bprop
from bprop import nn
from support.comparison import assert_trees_close

PYTORCH = Path(__file__).parents[1] / "nn" / "pytorch_module.json"  # written by record_module.py beside it
RECORDED = json.loads(PYTORCH.read_text(encoding="utf-8"))
X = np.array(RECORDED["x"])


def square(x):
    return x * x


def filled(module, parameters):
    """Give the one module inside that has parameters PyTorch's numbers."""
    for name, value in parameters.items():
        owner = next(inner for _, inner in module.modules() if name in inner.__dict__.get("_cells", {}))
        setattr(owner, name, np.asarray(value, owner.__dict__["_cells"][name].array.dtype))
    return module


def make(name, dtype=np.float64):
    """Return a fresh module of the given example, with the parameters recorded for it."""
    module = EXAMPLES[name](dtype)
    return filled(module, RECORDED["cases"].get(name, {}).get("parameters", {}))


# Those that draw random numbers are in evaluation mode, except where the name says "training".
EXAMPLES = {
    "Sigmoid": lambda dtype: nn.Sigmoid(),
    "Tanh": lambda dtype: nn.Tanh(),
    "HardTanh": lambda dtype: nn.HardTanh(),
    "HardTanh, other ends": lambda dtype: nn.HardTanh(-2.0, 0.5),
    "ReLU": lambda dtype: nn.ReLU(),
    "ReLU6": lambda dtype: nn.ReLU6(),
    "LeakyReLU": lambda dtype: nn.LeakyReLU(),
    "PReLU": lambda dtype: nn.PReLU(dtype=dtype),
    "PReLU, channels": lambda dtype: nn.PReLU(6, dtype=dtype),
    "RReLU": lambda dtype: nn.RReLU(0.1, 0.3, seed=0).eval(),
    "RReLU, training": lambda dtype: nn.RReLU(0.1, 0.3, seed=0),
    "ELU": lambda dtype: nn.ELU(),
    "ELU, alpha": lambda dtype: nn.ELU(0.5),
    "SELU": lambda dtype: nn.SELU(),
    "CELU": lambda dtype: nn.CELU(2.0),
    "Softplus": lambda dtype: nn.Softplus(),
    "Softplus, beta": lambda dtype: nn.Softplus(2.0, 5.0),
    "Softsign": lambda dtype: nn.Softsign(),
    "LogSigmoid": lambda dtype: nn.LogSigmoid(),
    "HardSigmoid": lambda dtype: nn.HardSigmoid(),
    "HardSwish": lambda dtype: nn.HardSwish(),
    "SiLU": lambda dtype: nn.SiLU(),
    "Mish": lambda dtype: nn.Mish(),
    "GELU": lambda dtype: nn.GELU(),
    "GELU, tanh": lambda dtype: nn.GELU("tanh"),
    "GLU": lambda dtype: nn.GLU(),
    "Threshold": lambda dtype: nn.Threshold(1.0, -5.0),
    "SoftShrink": lambda dtype: nn.SoftShrink(),
    "HardShrink": lambda dtype: nn.HardShrink(),
    "TanhShrink": lambda dtype: nn.TanhShrink(),
    "Softmax": lambda dtype: nn.Softmax(),
    "Softmax, first axis": lambda dtype: nn.Softmax(0),
    "Softmin": lambda dtype: nn.Softmin(),
    "LogSoftmax": lambda dtype: nn.LogSoftmax(),
    "Identity": lambda dtype: nn.Identity(),
    "Flatten": lambda dtype: nn.Flatten(),
    "Linear": lambda dtype: nn.Linear(6, 4, dtype),
    "Linear, no bias": lambda dtype: nn.Linear(6, 4, dtype, bias=False),
    "RNN": lambda dtype: nn.RNN(6, 4, dtype=dtype, seed=0),
    "LSTM": lambda dtype: nn.LSTM(6, 4, 2, bidirectional=True, dtype=dtype, seed=0),
    "GRU": lambda dtype: nn.GRU(6, 4, dtype=dtype, seed=0),
    "RNNCell": lambda dtype: nn.RNNCell(6, 4, dtype=dtype, seed=0),
    "RNNCell, relu": lambda dtype: nn.RNNCell(6, 4, nonlinearity="relu", dtype=dtype, seed=0),
    "GRUCell": lambda dtype: nn.GRUCell(6, 4, dtype=dtype, seed=0),
    "Maxout": lambda dtype: nn.Maxout(6, 2, 2, dtype),
    "Lambda": lambda dtype: nn.Lambda(square),
    "Dropout": lambda dtype: nn.Dropout(0.5, seed=0).eval(),
    "Dropout, training": lambda dtype: nn.Dropout(0.5, seed=0),
    "Sequential": lambda dtype: nn.Sequential(nn.Tanh(), nn.Linear(6, 4, dtype)),
    "Sequential, names": lambda dtype: nn.Sequential(squash=nn.Tanh(), out=nn.Linear(6, 4, dtype, seed=0)),
    "Parallel": lambda dtype: nn.Parallel(nn.Identity(), nn.Tanh()),
    "Parallel, add": lambda dtype: nn.Parallel(nn.Softsign(), nn.Tanh(), join="add"),
    "Parallel, first axis": lambda dtype: nn.Parallel(nn.Linear(6, 6, dtype, seed=0), nn.Tanh(), axis=0),
    "Residual": lambda dtype: nn.Residual(nn.Tanh()),
    "Residual, shortcut": lambda dtype: nn.Residual(
        nn.Linear(6, 2, dtype, seed=0), shortcut=nn.Sequential(nn.Tanh(), nn.Linear(6, 2, dtype, seed=1))
    ),
}
EXAMPLES.update(
    {
        "BatchNorm1d": lambda dtype: nn.BatchNorm1d(6, dtype=dtype).eval(),
        "BatchNorm1d, training": lambda dtype: nn.BatchNorm1d(6, dtype=dtype),
        "BatchNorm2d": lambda dtype: nn.BatchNorm2d(3, layout="NHWC", dtype=dtype).eval(),
        "BatchNorm2d, training": lambda dtype: nn.BatchNorm2d(3, dtype=dtype),
        "GroupNorm": lambda dtype: nn.GroupNorm(2, 6, dtype=dtype),
        "GroupNorm, no affine": lambda dtype: nn.GroupNorm(1, 6, affine=False, channel_axis=-1),
        "InstanceNorm1d": lambda dtype: nn.InstanceNorm1d(3, dtype=dtype),
        "InstanceNorm2d": lambda dtype: nn.InstanceNorm2d(3, affine=True, dtype=dtype),
        "LayerNorm": lambda dtype: nn.LayerNorm(6, dtype=dtype),
        "LayerNorm, no bias": lambda dtype: nn.LayerNorm(6, bias=False, dtype=dtype),
        "RMSNorm": lambda dtype: nn.RMSNorm(6, dtype=dtype),
        "Dropout1d": lambda dtype: nn.Dropout1d(0.5, seed=0).eval(),
        "Dropout1d, training": lambda dtype: nn.Dropout1d(0.5, seed=1, layout="NLC"),
        "Dropout2d": lambda dtype: nn.Dropout2d(0.5, seed=0).eval(),
        "Dropout2d, training": lambda dtype: nn.Dropout2d(0.5, seed=0),
        "Unflatten": lambda dtype: nn.Unflatten(1, (2, -1)),
        "Reshape": lambda dtype: nn.Reshape(3, 2),
        "Residual, activation": lambda dtype: nn.Residual(
            nn.Linear(6, 2, dtype, seed=0), nn.Linear(6, 2, dtype, seed=1), activation=nn.Tanh()
        ),
        "LearnedPositions": lambda dtype: nn.LearnedPositions(4, 6, dtype=dtype, seed=0),
        "RotaryPositions": lambda dtype: nn.RotaryPositions(),
        "Upsample": lambda dtype: nn.Upsample(scale_factor=(2, 1)),
        "Upsample, bilinear": lambda dtype: nn.Upsample((5, 2), mode="bilinear", layout="NHWC"),
        "SinusoidalPositions": lambda dtype: nn.SinusoidalPositions(6),
        "MultiHeadAttention": lambda dtype: nn.MultiHeadAttention(6, 2, dtype=dtype, seed=0),
        "FeedForward": lambda dtype: nn.FeedForward(6, 4, activation="gelu", dtype=dtype, seed=0),
        "TransformerEncoderBlock": lambda dtype: nn.TransformerEncoderBlock(
            6, 2, 4, 0.0, causal=True, dtype=dtype, seed=0
        ),
    }
)
EXAMPLES.update(
    {
        "Conv1d": lambda dtype: nn.Conv1d(2, 3, 2, padding=1, dtype=dtype, seed=0),
        "Conv1d, channels last": lambda dtype: nn.Conv1d(2, 2, 3, 2, groups=2, layout="NLC", dtype=dtype, seed=0),
        "Conv1d, circular": lambda dtype: nn.Conv1d(
            2, 3, 3, padding="same", padding_mode="circular", bias=False, dtype=dtype, seed=0
        ),
        "Conv2d": lambda dtype: nn.Conv2d(2, 3, 3, padding="same", dtype=dtype, seed=0),
        "Conv2d, reflect": lambda dtype: nn.Conv2d(
            2, 2, 2, padding=1, dilation=2, padding_mode="reflect", layout="NHWC", dtype=dtype, seed=0
        ),
        "ConvTranspose1d": lambda dtype: nn.ConvTranspose1d(2, 3, 2, 2, dtype=dtype, seed=0),
        "ConvTranspose2d": lambda dtype: nn.ConvTranspose2d(
            2, 2, 2, 2, 1, output_padding=1, groups=2, dtype=dtype, seed=0
        ),
        "MaxPool1d": lambda dtype: nn.MaxPool1d(2, 1, padding=1),
        "MaxPool2d": lambda dtype: nn.MaxPool2d(2, 1),
        "MaxPool2d, channels last": lambda dtype: nn.MaxPool2d(2, ceil_mode=True, layout="NHWC"),
        "AvgPool1d": lambda dtype: nn.AvgPool1d(3),
        "AvgPool2d": lambda dtype: nn.AvgPool2d(2, padding=1, count_include_pad=False),
        "AdaptiveAvgPool1d": lambda dtype: nn.AdaptiveAvgPool1d(2),
        "AdaptiveAvgPool2d": lambda dtype: nn.AdaptiveAvgPool2d(1),
        "AdaptiveMaxPool1d": lambda dtype: nn.AdaptiveMaxPool1d(2),
        "AdaptiveMaxPool2d": lambda dtype: nn.AdaptiveMaxPool2d((2, None)),
    }
)
SEQUENCE, IMAGE = (1, 2, 9), (1, 2, 3, 3)
SHAPES = {
    "Flatten": (3, 3, 2), "BatchNorm2d": (3, 1, 2, 3), "BatchNorm2d, training": (2, 3, 3, 1), "InstanceNorm1d": (2, 3, 3),
    "InstanceNorm2d": (1, 3, 2, 3), "Dropout1d": (2, 3, 3), "Dropout1d, training": (2, 3, 3), "Dropout2d": (2, 3, 3, 1),
    "Dropout2d, training": (2, 3, 3, 1), "Upsample": (1, 2, 3, 3), "Upsample, bilinear": (1, 3, 3, 2),
    "Conv1d": SEQUENCE, "Conv1d, channels last": (1, 9, 2), "Conv1d, circular": SEQUENCE, "Conv2d": IMAGE,
    "Conv2d, reflect": (1, 3, 3, 2), "ConvTranspose1d": SEQUENCE, "ConvTranspose2d": IMAGE, "MaxPool1d": SEQUENCE,
    "MaxPool2d": IMAGE, "MaxPool2d, channels last": (1, 3, 3, 2), "AvgPool1d": SEQUENCE, "AvgPool2d": IMAGE,
    "AdaptiveAvgPool1d": SEQUENCE, "AdaptiveAvgPool2d": IMAGE, "AdaptiveMaxPool1d": SEQUENCE, "AdaptiveMaxPool2d": IMAGE,
}  # fmt: skip
"""The shapes of the examples' inputs, of 18 numbers, where it is not that of X."""
LOSSES = {name: kind for name, kind in vars(nn).items() if isinstance(kind, type) and issubclass(kind, nn.Loss)}
LOSSES.pop("Loss")


ATTENTION = {"MultiHeadAttention", "TransformerEncoderBlock"}
"""Those that take X as a sequence of three tokens, each of which has a part in the others."""
RECURRENT = {"RNN", "LSTM", "GRU"}
"""Those that take X as a sequence of three steps: what a step has, later ones have."""


def inputs_of(name):
    if name in ATTENTION:
        return np.clip(X, -3, 3)  # else the softmax of scores in the millions leaves rounding errors alone
    if name in RECURRENT:
        return np.clip(X, -20, 20)  # slopes of e^-1000 would have three digits less than their exponents
    return X.reshape(SHAPES.get(name, X.shape))


def cotangent(shape):
    return np.cos(np.arange(int(np.prod(shape)))).reshape(shape)


def smooth(name):
    """Inputs away from every kink, of the size that numerical differentiation is good for."""
    return (np.random.default_rng(5).permutation(18).reshape(inputs_of(name).shape) - 8.7) * 0.31


def layerwise(module, x, y_bar=None):
    """fprop and bprop: y, x_bar and the gradients by path."""
    y = module.fprop(x)
    x_bar = module.bprop(cotangent(y.shape).astype(y.dtype) if y_bar is None else y_bar)
    return [np.asarray(one) for one in (y, x_bar, *module.gradients().values())]


def transformed(module, x):
    """The same numbers from reverse mode."""
    y, pull = bprop.vjp(lambda x, cells: module(x), x, module)
    bars = pull(cotangent(y.shape).astype(y.dtype))
    return [np.asarray(one) for one in (y, bars[0], *bars[1].values())]


def check_compiled(name):
    """Assert that the example, compiled, has the numbers of eager reverse mode, to a rounding."""
    x = inputs_of(name)

    def step(module, x):
        y, pull = bprop.vjp(lambda x, cells: module(x), x, module)
        return y, *pull(cotangent(y.shape))

    # the gradient of a bias of keys is a sum that cancels
    rtol, atol = (1e-12, 1e-12) if name in ATTENTION else (1e-13, 1e-300)
    assert_trees_close(bprop.compile(step)(make(name), x), step(make(name), x), rtol=rtol, atol=atol)
