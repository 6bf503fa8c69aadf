"""Records what PyTorch answers for convolutions and pooling, in pytorch_convolution.json beside this file.

Run it in an environment that has PyTorch (a CPU will do) and NumPy: ``python tests/nn/record_convolution.py``. The tests only
read the file. A case: the layer, its settings, and the shape of x; `numbers` draws x, parameters and y_bar the same way there.
"""

import json
from pathlib import Path

import numpy as np
import torch

CONV1 = [
    {"kernel_size": 3},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "padding": "same", "dilation": 2},
    {"kernel_size": 4, "padding": "same"},
    {"kernel_size": 2, "padding": 2, "groups": 2},
    {"kernel_size": 3, "padding": 2, "padding_mode": "circular"},
    {"kernel_size": 3, "padding": 2, "padding_mode": "reflect", "stride": 2},
    {"kernel_size": 3, "padding": 2, "padding_mode": "replicate"},
    {"kernel_size": 1, "bias": False, "stride": 3},
]
CONV2 = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)},
    {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2},
    {"kernel_size": 3, "padding": "same", "dilation": (1, 2)},
    {"kernel_size": (2, 4), "padding": "same"},
    {"kernel_size": 3, "padding": "valid", "groups": 2},
    {"kernel_size": 3, "padding": 1, "groups": 4, "stride": 2},
    {"kernel_size": 3, "padding": (1, 2), "padding_mode": "circular"},
    {"kernel_size": 3, "padding": (1, 2), "padding_mode": "reflect", "stride": 2},
    {"kernel_size": 3, "padding": 2, "padding_mode": "replicate"},
    {"kernel_size": 1, "bias": False, "stride": 2},
    {"kernel_size": 2, "stride": 3},
]
TRANSPOSED = [
    {"kernel_size": 3},
    {"kernel_size": 2, "stride": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1},
    {"kernel_size": 3, "stride": 3, "padding": 2, "dilation": 2, "output_padding": 2},
    {"kernel_size": 3, "stride": 1, "dilation": 2, "output_padding": 1},
    {"kernel_size": 2, "stride": 2, "groups": 2, "bias": False},
]
POOL = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 1},
    {"kernel_size": 2, "stride": 3},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
]
CASES = (
    [("Conv1d", {"inputs": 4, "outputs": 4, **settings}, (2, 4, 7)) for settings in CONV1]
    + [("Conv2d", {"inputs": 4, "outputs": 4, **settings}, (2, 4, 6, 5)) for settings in CONV2]
    + [("Conv2d", {"inputs": 2, "outputs": 3, "kernel_size": 3}, (2, 5, 4))]
    + [("ConvTranspose1d", {"inputs": 4, "outputs": 2, **settings}, (2, 4, 4)) for settings in TRANSPOSED]
    + [("ConvTranspose2d", {"inputs": 4, "outputs": 2, **settings}, (2, 4, 3, 4)) for settings in TRANSPOSED]
    + [("MaxPool1d", settings, (2, 2, 8)) for settings in [*POOL, {"kernel_size": 3, "dilation": 2, "stride": 1}]]
    + [("MaxPool2d", settings, (2, 2, 8, 7)) for settings in [*POOL, {"kernel_size": 2, "dilation": (2, 3)}]]
    + [("AvgPool1d", settings, (2, 2, 8)) for settings in POOL]
    + [("AvgPool2d", settings, (2, 2, 8, 7)) for settings in POOL]
    + [("AvgPool2d", {**settings, "count_include_pad": False}, (2, 2, 8, 7)) for settings in POOL]
    + [("AdaptiveAvgPool1d", {"outputs": outputs}, (2, 2, 7)) for outputs in (1, 3, 7, 9)]
    + [("AdaptiveAvgPool2d", {"outputs": outputs}, (2, 2, 7, 6)) for outputs in (1, (3, 2), (None, 4))]
    + [("AdaptiveMaxPool1d", {"outputs": outputs}, (2, 2, 7)) for outputs in (1, 3, 7)]
    + [("AdaptiveMaxPool2d", {"outputs": outputs}, (2, 2, 7, 6)) for outputs in (1, (3, 2), (None, 4))]
)
TORCH = {"inputs": "in_channels", "outputs": "out_channels"}


def module(name, settings):
    if name.startswith("Adaptive"):
        return getattr(torch.nn, name)(settings["outputs"])
    return getattr(torch.nn, name)(**{TORCH.get(key, key): value for key, value in settings.items()})


def answer(number, name, settings, shape):
    rng = np.random.default_rng(number)
    layer = module(name, settings).double()
    x = torch.tensor(rng.normal(size=shape), requires_grad=True)
    for parameter in layer.parameters():
        parameter.data = torch.tensor(rng.normal(size=tuple(parameter.shape)))
    y = layer(x)
    y.backward(torch.tensor(rng.normal(size=tuple(y.shape))))
    bars = [x.grad, *(parameter.grad for parameter in layer.parameters())]
    return {
        "layer": name,
        "settings": settings,
        "x": shape,
        "y": flat(y),
        "bars": [flat(bar) for bar in bars],
        "shape": list(y.shape),
    }


def flat(x):
    return [float(f"{number:.15g}") for number in x.detach().reshape(-1).tolist()]


if __name__ == "__main__":
    answers = [answer(number, *case) for number, case in enumerate(CASES)]
    path = Path(__file__).with_name("pytorch_convolution.json")
    path.write_text(json.dumps({"torch": torch.__version__, "cases": answers}, separators=(",", ":")) + "\n")
    print(f"{len(answers)} cases, {path.stat().st_size / 1000:.0f} kB")
