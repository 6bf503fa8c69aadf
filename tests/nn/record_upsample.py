"""Record what PyTorch's upsampling answers, in pytorch_upsample.json beside this file.

In an environment with PyTorch (recorded with 2.13.0 on a CPU) run ``python tests/nn/record_upsample.py``. y and the gradient of x, for
y_bar = cos(0), cos(1), …, in float64 and NCHW.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

X = np.round(np.random.default_rng(0).normal(size=(1, 2, 3, 4)), 6)
SIZES = [
    {"scale_factor": 2}, {"scale_factor": [3, 1]}, {"scale_factor": [1.5, 2.6]}, {"scale_factor": 0.5}, {"scale_factor": 2.5},
    {"size": [6, 8]}, {"size": [5, 7]}, {"size": 3}, {"size": [1, 2]}, {"size": [3, 4]}, {"size": [2, 9]}, {"size": [30, 1]},
]  # fmt: skip


def record(options):
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    x = torch.tensor(X, requires_grad=True)
    y = nn.Upsample(**given)(x)
    y.backward(torch.cos(torch.arange(y.numel(), dtype=torch.float64)).reshape(y.shape))
    return {"options": options, "y": y.detach().numpy().tolist(), "x_bar": x.grad.numpy().tolist()}


if __name__ == "__main__":
    modes = ({}, {"mode": "bilinear"}, {"mode": "bilinear", "align_corners": True})
    cases = [record({**size, **mode}) for size, mode in itertools.product(SIZES, modes)]
    content = {"torch": torch.__version__.partition("+")[0], "x": X.tolist(), "cases": cases}
    text = json.dumps(content).replace('}, {"options"', '},\n{"options"')
    Path(__file__).with_name("pytorch_upsample.json").write_text(text + "\n")
