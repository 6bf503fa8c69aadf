"""Networks that the literature names, as modules: multi-layer perceptron, LeNet, ResNet, networks over characters."""

from .. import gradients, nn, region  # noqa: F401 - whole rooms first: see core/lazy.py
from ..nn.count import flops, parameters
from .catalogue import CATALOGUE, Entry
from .char_rnn import CharRNN
from .char_transformer import CharTransformer
from .lenet import LeNet
from .mlp import MLP
from .resnet import ResNet, ResNet18

__all__ = [
    "CATALOGUE",
    "MLP",
    "CharRNN",
    "CharTransformer",
    "Entry",
    "LeNet",
    "ResNet",
    "ResNet18",
    "flops",
    "parameters",
]
