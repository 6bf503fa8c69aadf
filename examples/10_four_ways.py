"""Four ways to one gradient: symbols, paths, differences, and the two modes of automatic differentiation."""

import numpy as np

import bprop


def energy(w):
    """½ squared error of one tanh unit with two weights."""
    return 0.5 * (1.0 - np.tanh(w[0] * 0.5 + w[1] * 2.0)) ** 2


w = np.array([0.3, -0.2])

expression = bprop.symbolic(energy)(w)
print("1. symbols:", expression.text)
print(f"   a tree of {expression.size} operations, {expression.shared_size} when common parts are shared")

gradients = {
    method: np.asarray(bprop.derivative(energy, method=method)(w))
    for method in ("symbolic", "paths", "numerical", "forward", "reverse")
}
for method, gradient in gradients.items():
    print(f"{method:>10}: {gradient}")
    np.testing.assert_allclose(gradient, gradients["reverse"], rtol=1e-7)

# Why naive differentiation does not scale: a path picks one unit in every layer.
rng = np.random.default_rng(0)
width, depth = 10, 30
layers = [bprop.asarray(rng.normal(size=(width, width))) for _ in range(depth)]


def network(x):
    for W in layers:
        x = bprop.tanh(W @ x)
    return bprop.sum(x)


count = bprop.paths(network)(rng.normal(size=width)).counts[0]
print(f"paths from one input through {depth} layers of {width} units: {count} = {width}^{depth}")
assert count == width**depth
print(bprop.compare(energy, w))
