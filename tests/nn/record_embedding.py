"""Record what PyTorch's embedding answers, in pytorch_embedding.json beside this file.

In an environment with PyTorch (recorded with 2.13.0 on a CPU) run ``python tests/nn/record_embedding.py``. y and the gradient of the
weight, for y_bar = cos(0), cos(1), …, in float64.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

W = np.random.default_rng(0).normal(size=(5, 3))
IDS = {"a number": np.array(4), "a row": np.array([1, 0, 1]), "a batch": np.array([[1, 4, 4, 0], [2, 1, 4, 4]])}


def record(padding_idx, ids):
    module = nn.Embedding(5, 3, padding_idx=padding_idx).double()
    with torch.no_grad():
        module.weight.copy_(torch.tensor(W))
    y = module(torch.tensor(ids))
    y.backward(torch.cos(torch.arange(y.numel(), dtype=torch.float64)).reshape(y.shape))
    return {
        "padding_idx": padding_idx,
        "ids": ids.tolist(),
        "y": y.detach().numpy().tolist(),
        "weight_bar": module.weight.grad.numpy().tolist(),
    }


if __name__ == "__main__":
    cases = {
        f"{name}, padding_idx={padding_idx}": record(padding_idx, ids)
        for (name, ids), padding_idx in itertools.product(IDS.items(), (None, 1, -1))
    }
    content = {"torch": torch.__version__.partition("+")[0], "W": W.tolist(), "cases": cases}
    Path(__file__).with_name("pytorch_embedding.json").write_text(json.dumps(content).replace('}, "', '},\n"') + "\n")
