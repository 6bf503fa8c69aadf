"""What is measured: a training step of a multilayer perceptron, the same numbers for every peer."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RATE, BETAS, EPSILON = 1e-3, (0.9, 0.999), 1e-8
"""Adam's settings, in every peer."""
ACTIVATIONS = ("relu", "tanh", "sigmoid")
CHECKED = (0, 1, 3)
"""After how many steps the losses of all peers have to agree."""
TOLERANCE = 1e-3


class Data(NamedTuple):
    """Weights (inputs, outputs) and biases layer by layer, and one batch: float32, classes as int64."""

    weights: list[NDArray[np.float32]]
    biases: list[NDArray[np.float32]]
    x: NDArray[np.float32]
    t: NDArray[np.int64]


class Workload(NamedTuple):
    """A perceptron with these layers, softmax cross-entropy averaged over the batch, Adam."""

    sizes: tuple[int, ...]
    batch: int
    activation: str = "relu"

    @property
    def name(self) -> str:
        return "-".join(map(str, self.sizes))

    @property
    def parameters(self) -> int:
        return sum(i * o + o for i, o in pairwise(self.sizes))

    @property
    def flops(self) -> int:
        """Multiplications and additions of the matrix products of one step; all else is not counted.

        Forward and weight gradient of every layer, and the gradient of its input for all but the first.
        """
        products = [2 * self.batch * i * o for i, o in pairwise(self.sizes)]
        return 3 * sum(products) - products[0]

    def data(self) -> Data:
        """Return the initial parameters and the batch. Biases are not zero, so that a forgotten one is noticed."""
        rng = np.random.default_rng(len(self.sizes) * self.batch)
        single = np.float32
        weights = [(rng.standard_normal((i, o)) * np.sqrt(2 / i)).astype(single) for i, o in pairwise(self.sizes)]
        biases = [(rng.standard_normal(o) * 0.1).astype(single) for o in self.sizes[1:]]
        x = rng.standard_normal((self.batch, self.sizes[0])).astype(single)
        return Data(weights, biases, x, rng.integers(0, self.sizes[-1], self.batch))


WORKLOADS = {
    one.name: one
    for one in (
        Workload((4, 16, 3), 32),
        Workload((64, 64, 10), 64),
        Workload((784, 256, 10), 64),
        Workload((784, 512, 512, 10), 128),
        Workload((1024, 1024, 1024, 1024, 10), 256),
    )
}


def reference(workload: Workload, steps: int) -> list[float]:
    """Return the losses before each of so many steps, computed in float64 with nothing but NumPy."""
    data = workload.data()
    W, b = ([one.astype(np.float64) for one in part] for part in (data.weights, data.biases))
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in (*W, *b)]
    rows, losses = np.arange(workload.batch), []
    f, slope = {
        "relu": (lambda z: np.maximum(z, 0), lambda y: y > 0),
        "tanh": (np.tanh, lambda y: 1 - y * y),
        "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda y: y * (1 - y)),
    }[workload.activation]
    for step in range(1, steps + 1):
        y = [data.x.astype(np.float64)]
        for layer in range(len(W) - 1):
            y.append(f(y[-1] @ W[layer] + b[layer]))
        z = y[-1] @ W[-1] + b[-1]
        z -= z.max(axis=1, keepdims=True)
        z -= np.log(np.exp(z).sum(axis=1, keepdims=True))
        losses.append(-float(z[rows, data.t].mean()))
        z_bar = np.exp(z)
        z_bar[rows, data.t] -= 1
        z_bar /= workload.batch
        W_bar, b_bar = [], []
        for layer in reversed(range(len(W))):
            W_bar.insert(0, y[layer].T @ z_bar)
            b_bar.insert(0, z_bar.sum(axis=0))
            if layer:
                z_bar = (z_bar @ W[layer].T) * slope(y[layer])
        for p, g, (m, v) in zip((*W, *b), (*W_bar, *b_bar), moments, strict=True):
            m += (1 - BETAS[0]) * (g - m)
            v += (1 - BETAS[1]) * (g * g - v)
            p -= RATE / (1 - BETAS[0] ** step) * m / (np.sqrt(v / (1 - BETAS[1] ** step)) + EPSILON)
    return losses
