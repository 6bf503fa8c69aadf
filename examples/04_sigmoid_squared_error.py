"""Sigmoid with squared error learns nothing where it is most wrong; with cross-entropy it learns most there."""

import numpy as np

import bprop
from bprop import nn

z = np.array([-10.0, -5.0, -2.0, 0.0, 2.0])  # activations before the sigmoid
t = np.ones(5)  # the unit should be on

squared, cross_entropy = nn.SquaredError("sum"), nn.BinaryCrossEntropy("sum")
y = np.asarray(bprop.sigmoid(z))
flat = np.asarray(bprop.grad(lambda z: squared(bprop.sigmoid(z), t))(z))
steep = np.asarray(bprop.grad(lambda z: cross_entropy(z, t))(z))  # takes z, not y: no logarithm of a rounded y

print("target 1 everywhere\n    z         y     dE/dz squared error   dE/dz cross-entropy")
for row in zip(z, y, flat, steep, strict=True):
    print("{:6.1f}   {:7.5f}   {:+19.5f}   {:+19.5f}".format(*row))

# The sigmoid's slope y (1 - y) is the culprit: it multiplies the discrepancy, and is nearly 0 at either end.
assert np.allclose(flat, -(t - y) * y * (1 - y))
assert np.allclose(steep, y - t)  # in the cross-entropy it cancels

print(f"\nAt z = -10 the unit is wrong by {1 - y[0]:.4f}, but squared error moves it with {-flat[0]:.6f} only.")
assert abs(flat[0]) < 1e-4 < 0.99 < abs(steep[0])


def epochs_until_right(loss, outputs):
    """Gradient descent on z from -5 until the unit is on."""
    z, n = -5.0, 0
    while z < 0 and n < 10_000:
        z -= 0.5 * float(bprop.grad(lambda z: loss(outputs(z), 1.0))(z))
        n += 1
    return n


slow, fast = epochs_until_right(squared, bprop.sigmoid), epochs_until_right(cross_entropy, lambda z: z)
print(f"From z = -5 to the right side: {slow} steps with squared error, {fast} with cross-entropy.")
assert slow > 10 * fast
