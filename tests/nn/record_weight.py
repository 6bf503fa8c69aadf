"""Records state dicts of PyTorch's modules and what the modules answer, in pytorch_weight.json beside this file.

Run it in an environment that has PyTorch (a CPU will do) and NumPy: ``python tests/nn/record_weight.py``. The tests only read
the file. Numbers of weights are wave(shape, position in the state dict), so that they need not be stored.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional


def wave(shape, phase):
    return np.sin(1.7 * np.arange(int(np.prod(shape))) + phase).reshape(shape)


class BasicBlock(nn.Module):
    """As torchvision has it, names included."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or inputs != width:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        straight = x if self.downsample is None else self.downsample(x)
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(straight + y)


class ResNet(nn.Module):
    """As torchvision has it, but small."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(BasicBlock(4, 4, 1), BasicBlock(4, 4, 1))
        self.layer2 = nn.Sequential(BasicBlock(4, 6, 2))
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        x = self.layer2(self.layer1(functional.relu(self.bn1(self.conv1(x)))))
        return self.fc(x.mean((2, 3)))


class Conv1D(nn.Module):
    """GPT-2's dense layer: the weight is (inputs, outputs)."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(inputs, outputs)), nn.Parameter(torch.empty(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


class Attention(nn.Module):
    def __init__(self, width, heads, length):
        super().__init__()
        self.register_buffer("bias", torch.ones(length, length).tril().view(1, 1, length, length))
        self.c_attn, self.c_proj, self.heads = Conv1D(width, 3 * width), Conv1D(width, width), heads

    def forward(self, x):
        count, length, width = x.shape
        parts = self.c_attn(x).split(width, 2)
        q, k, v = (part.view(count, length, self.heads, -1).transpose(1, 2) for part in parts)
        scores = q @ k.transpose(2, 3) / k.shape[-1] ** 0.5
        scores = scores.masked_fill(self.bias[:, :, :length, :length] == 0, -torch.inf)
        return self.c_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape))


class Feedforward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc, self.c_proj = Conv1D(width, 4 * width), Conv1D(4 * width, width)

    def forward(self, x):
        return self.c_proj(functional.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, width, heads, length):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), Attention(width, heads, length)
        self.ln_2, self.mlp = nn.LayerNorm(width), Feedforward(width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT2(nn.Module):
    """As published, but small: names, forms and order of its weights."""

    def __init__(self, vocabulary=5, width=4, heads=2, length=6, blocks=2):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.h = nn.ModuleList(Block(width, heads, length) for _ in range(blocks))
        self.ln_f = nn.LayerNorm(width)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T


class Text(nn.Module):
    """Embedding, recurrent layer in both directions, dense layer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.lstm = nn.LSTM(3, 2, 2, bidirectional=True)
        self.head = nn.Sequential(nn.Linear(4, 3), nn.PReLU(), nn.Linear(3, 2))

    def forward(self, ids):
        return self.head(self.lstm(self.embedding(ids))[0])


def convolutional():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 3, 2, stride=2),
        nn.GroupNorm(3, 3),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(108, 4),
        nn.LayerNorm(4),
        nn.Dropout(0.5),
        nn.Linear(4, 2, bias=False),
    )


IDS = [[0, 3, 1], [4, 2, 2]]
CASES = {
    "Sequential": (convolutional, wave((2, 2, 8, 8), 0.5)),
    "Text": (Text, IDS),
    "ResNet": (ResNet, wave((2, 3, 8, 8), 0.5)),
    "GPT2": (GPT2, IDS),
}


def record(make, x):
    module = make().double().eval()
    values = {}
    for phase, (name, value) in enumerate(module.state_dict().items()):
        if name.endswith(".attn.bias"):
            values[name] = value
        elif name.endswith("num_batches_tracked"):
            values[name] = torch.tensor(phase)
        else:
            number = wave(tuple(value.shape), phase)
            values[name] = torch.tensor(1 + number / 2 if name.endswith("running_var") else number / 2)
    module.load_state_dict(values)
    y = module(torch.tensor(x))
    return {"shapes": {name: list(value.shape) for name, value in values.items()}, "y": y.tolist()}


if __name__ == "__main__":
    torch.manual_seed(0)
    cases = {name: record(*case) for name, case in CASES.items()}
    text = json.dumps({"pytorch": torch.__version__, "cases": cases}, indent=1)
    Path(__file__).with_name("pytorch_weight.json").write_text(text + "\n", encoding="utf-8")
