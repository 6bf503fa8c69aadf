"""Record what PyTorch's normalisations answer over a grid of options, in pytorch_normalisation.json beside this file.

In an environment with PyTorch (recorded with 2.13.0 on a CPU) run ``python tests/nn/record_normalisation.py``. A case names the layer and
its options as bprop has them, its cells, x and what comes out, in float64: y and the gradients, for y_bar = cos(0), cos(1), …, and the
running statistics after a second batch. Channels are on axis 1, as PyTorch has them.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

RNG = np.random.default_rng(12)
CASES = []


def normal(*shape):
    return np.round(RNG.normal(size=shape) * 1.5 + 0.5, 6)


def rows(value):
    return np.asarray(value.detach()).tolist()


def case(kind, options, module, shape, training=True):
    """Record ``module``, PyTorch's, on x of ``shape``: two steps in training, then if asked for one in evaluation."""
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.tensor(normal(*parameter.shape)))
    start = {name: rows(value) for name, value in module.state_dict().items()}
    xs = [normal(*shape), normal(*shape)]
    if not training:
        for x in xs:
            module(torch.tensor(x))
        start = {name: rows(value) for name, value in module.state_dict().items()}
        module.eval()
    x = torch.tensor(xs[0], requires_grad=True)
    y = module(x)
    y.backward(torch.cos(torch.arange(y.numel(), dtype=torch.float64)).reshape(y.shape))
    module(torch.tensor(xs[1]))
    CASES.append(
        {
            "kind": kind, "options": options, "training": training, "start": start, "xs": [x.tolist() for x in xs],
            "y": rows(y), "x_bar": rows(x.grad), "bars": {name: rows(p.grad) for name, p in module.named_parameters()},
            "end": {name: rows(value) for name, value in module.state_dict().items()},
        }
    )  # fmt: skip


SHAPES = {
    "BatchNorm1d": (4, 3, 2),
    "BatchNorm2d": (2, 3, 2, 3),
    "InstanceNorm1d": (2, 3, 4),
    "InstanceNorm2d": (2, 3, 2, 2),
}
for kind, shape in SHAPES.items():
    for affine, track, momentum, training in itertools.product(
        (True, False), (True, False), (0.1, 0.7, None), (True, False)
    ):
        if momentum != 0.1 and (not affine or not track):
            continue
        if kind.startswith("Instance") and momentum is None:
            continue  # PyTorch takes that for 0 there
        options = {"momentum": momentum, "affine": affine, "track_running_stats": track}
        case(kind, options, getattr(nn, kind)(3, **options), shape, training)
for training in (True, False):
    case("BatchNorm1d", {"eps": 0.3}, nn.BatchNorm1d(3, eps=0.3), (4, 3), training)
    case("BatchNorm2d", {"eps": 0.3}, nn.BatchNorm2d(3, eps=0.3), (2, 3, 1, 2), training)
for groups, positions, affine, eps in itertools.product((1, 2, 4), ((), (3,), (2, 2)), (True, False), (1e-5, 0.3)):
    if groups == 4 and not positions:
        continue  # one value in each group
    module = nn.GroupNorm(groups, 4, eps=eps, affine=affine)
    case("GroupNorm", {"groups": groups, "channels": 4, "affine": affine, "eps": eps}, module, (2, 4, *positions))
for shape, lead, affine, eps in itertools.product(((4,), (2, 3)), ((), (3,), (2, 2)), (True, False), (1e-5, 0.3)):
    options = {"shape": list(shape), "elementwise_affine": affine, "eps": eps}
    module = nn.LayerNorm(shape, eps=eps, elementwise_affine=affine)
    case("LayerNorm", options, module, (*lead, *shape))
    module = nn.RMSNorm(shape, eps=None if eps == 1e-5 else eps, elementwise_affine=affine)
    case("RMSNorm", {**options, "eps": None if eps == 1e-5 else eps}, module, (*lead, *shape))
case("LayerNorm", {"shape": [4], "bias": False}, nn.LayerNorm(4, bias=False), (3, 4))

if __name__ == "__main__":
    content = {"torch": torch.__version__.partition("+")[0], "cases": CASES}
    Path(__file__).with_name("pytorch_normalisation.json").write_text(
        json.dumps(content).replace('}, {"kind"', '},\n{"kind"') + "\n"
    )
