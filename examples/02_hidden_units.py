"""XOR: no linear unit can learn it, a network with two hidden units can. Trained layer by layer with fprop and bprop."""

import numpy as np

import bprop
from bprop import nn, optim

x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
t = np.array([[0], [1], [1], [0]], np.float32)


def train(model: nn.Sequential, epochs: int) -> float:
    loss, optimizer = nn.BinaryCrossEntropy(), optim.Adam(0.05)
    for _ in range(epochs):
        E = loss.fprop(model.fprop(x), t)  # forwards: every layer keeps what went through it
        model.bprop(loss.bprop())  # backwards: every layer leaves the gradients of its parameters
        optimizer.update(model, model.gradients())
    return float(E)


linear = nn.Sequential(nn.Linear(2, 1, seed=0))
E = train(linear, 1000)
print(f"linear:        E = {E:.4f}, log 2 = {np.log(2):.4f}: it can do no better than to say 1/2 to everything")
assert abs(E - np.log(2)) < 1e-3

generator = bprop.Generator(0)  # with other weights to start from it may get stuck: E has local minima
mlp = nn.Sequential(nn.Linear(2, 2, generator=generator), nn.Tanh(), nn.Linear(2, 1, generator=generator))
E = train(mlp, 1000)
y = bprop.sigmoid(mlp(x))
print(f"hidden units:  E = {E:.4f}")
for inputs, output in zip(x, np.asarray(y), strict=True):
    print(f"  {inputs[0]:.0f} xor {inputs[1]:.0f} = {output[0]:.3f}")
assert (np.round(np.asarray(y)) == t).all()

hidden = np.asarray(mlp[:2](x))  # the hidden layer alone: a slice is a model too
print("\nThe features it found, in which the classes are linearly separable:")
for inputs, h, target in zip(x, hidden, t, strict=True):
    print(f"  {inputs} -> [{h[0]:+.2f} {h[1]:+.2f}]  t = {target[0]:.0f}")
