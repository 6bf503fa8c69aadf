"""Records what PyTorch answers for the modules of bprop.nn, in pytorch_module.json beside this file.

Run it in an environment that has PyTorch (a CPU will do) and NumPy: ``python tests/nn/record_module.py``. The tests only read the
file. ``CASES`` has, for every name in ``tests/support/module_example.py``, the function of a tensor and how to make its parameters.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

POINTS = [-1000, -20, -6, -3, -2, -1, -0.5, -0.1, 0, 0.1, 0.5, 1, 2, 3, 6, 20, 700, 1000]
X = np.array(POINTS, float)[np.random.default_rng(0).permutation(18)].reshape(3, 6)
W = np.random.default_rng(1).normal(size=(4, 6))
B = np.random.default_rng(2).normal(size=4)
SLOPES = np.array([0.25, -0.5, 0.0, 0.125, 1.0, 2.0])


def maxout(x, W, b):
    return (x @ W.T + b).reshape(*x.shape[:-1], 2, 2).amax(-2)


CASES = {
    "Sigmoid": (functional.sigmoid, {}),
    "Tanh": (functional.tanh, {}),
    "HardTanh": (nn.Hardtanh(), {}),
    "HardTanh, other ends": (nn.Hardtanh(-2.0, 0.5), {}),
    "ReLU": (nn.ReLU(), {}),
    "ReLU6": (nn.ReLU6(), {}),
    "LeakyReLU": (nn.LeakyReLU(), {}),
    "PReLU": (lambda x, a: functional.prelu(x, a), {"a": np.array([0.25])}),
    "PReLU, channels": (lambda x, a: functional.prelu(x, a), {"a": SLOPES}),
    "RReLU": (nn.RReLU(0.1, 0.3).eval(), {}),
    "ELU": (nn.ELU(), {}),
    "ELU, alpha": (nn.ELU(0.5), {}),
    "SELU": (nn.SELU(), {}),
    "CELU": (nn.CELU(2.0), {}),
    "Softplus": (nn.Softplus(threshold=40), {}),  # beyond that both are x to the last bit; without it PyTorch overflows
    "Softplus, beta": (nn.Softplus(2.0, 5.0), {}),
    "Softsign": (nn.Softsign(), {}),
    "LogSigmoid": (nn.LogSigmoid(), {}),
    "HardSigmoid": (lambda x: functional.relu6(x + 3) / 6, {}),  # the slope of nn.Hardsigmoid is a float32 of 1/6
    "HardSwish": (nn.Hardswish(), {}),
    "SiLU": (nn.SiLU(), {}),
    "Mish": (nn.Mish(), {}),
    "GELU": (nn.GELU(), {}),
    "GELU, tanh": (nn.GELU(approximate="tanh"), {}),
    "GLU": (nn.GLU(), {}),
    "Threshold": (nn.Threshold(1.0, -5.0), {}),
    "SoftShrink": (nn.Softshrink(), {}),
    "HardShrink": (nn.Hardshrink(), {}),
    "TanhShrink": (nn.Tanhshrink(), {}),
    "Softmax": (nn.Softmax(-1), {}),
    "Softmax, first axis": (nn.Softmax(0), {}),
    "Softmin": (nn.Softmin(-1), {}),
    "LogSoftmax": (nn.LogSoftmax(-1), {}),
    "Identity": (nn.Identity(), {}),
    "Flatten": (lambda x: nn.Flatten()(x.reshape(3, 3, 2)), {}),
    "Unflatten": (nn.Unflatten(1, (2, -1)), {}),
    "Dropout1d": (lambda x: nn.Dropout1d(0.5).eval()(x.reshape(2, 3, 3)), {}),
    "Dropout2d": (lambda x: nn.Dropout2d(0.5).eval()(x.reshape(2, 3, 3, 1)), {}),
    "Linear": (lambda x, W, b: functional.linear(x, W, b), {"W": W, "b": B}),
    "Linear, no bias": (lambda x, W: functional.linear(x, W), {"W": W}),
    "Maxout": (maxout, {"W": W, "b": B}),
    "Lambda": (lambda x: x * x, {}),
    "Dropout": (nn.Dropout(0.5).eval(), {}),
    "Sequential": (lambda x, W, b: functional.linear(torch.tanh(x), W, b), {"W": W, "b": B}),
    "Parallel": (lambda x: torch.cat([x, torch.tanh(x)], -1), {}),
    "Parallel, add": (lambda x: functional.softsign(x) + torch.tanh(x), {}),
    "Residual": (lambda x: x + torch.tanh(x), {}),
}


def record(function, parameters):
    """Return output and gradients of ``function`` for the cotangent y_bar = cos(0), cos(1), …"""
    x = torch.tensor(X, requires_grad=True)
    own = {name: torch.tensor(value, requires_grad=True) for name, value in parameters.items()}
    y = function(x, *own.values())
    y.backward(torch.tensor(np.cos(np.arange(y.numel()))).reshape(y.shape))
    kept = {"y": y, "x_bar": x.grad, **{f"{name}_bar": value.grad for name, value in own.items()}}
    result = {name: value.detach().numpy().tolist() for name, value in kept.items()}
    return {"parameters": {name: value.tolist() for name, value in parameters.items()}, **result}


if __name__ == "__main__":
    answers = {name: record(*case) for name, case in CASES.items()}
    content = {"torch": torch.__version__.partition("+")[0], "x": X.tolist(), "cases": answers}
    Path(__file__).with_name("pytorch_module.json").write_text(
        json.dumps(content, indent=None).replace('}, "', '},\n"') + "\n"
    )
