"""A whole training step (forwards, backwards, update) as one native program, and what is in it."""

import time

import numpy as np

import bprop
from bprop import nn, optim

rng = np.random.default_rng(0)
x, t = rng.normal(size=(64, 20)).astype(np.float32), rng.integers(0, 5, 64)
loss = nn.CrossEntropy()


def step(model, optimizer, x, t):
    E, gradients = bprop.value_and_grad(lambda m: loss(m(x), t))(model)
    optimizer.update(model, gradients)
    return E


def setting():
    generator = bprop.Generator(0)
    model = nn.Sequential(nn.Linear(20, 32, generator=generator), nn.Tanh(), nn.Linear(32, 5, generator=generator))
    optimizer = optim.SGD(0.1, momentum=0.9)
    optimizer.init(model)  # the velocities exist from the start, so that the first step is compiled like all others
    return model, optimizer


def run(step, model, optimizer):
    losses, start = [], time.perf_counter()
    for number in range(100):
        if number == 50:
            optimizer.learning_rate = 0.01  # a cell, not a constant: nothing is compiled again
        losses.append(float(step(model, optimizer, x, t)))
    return np.array(losses), time.perf_counter() - start


native = bprop.compile(step)
evaluated, slow = run(step, *setting())
compiled, first = run(native, *setting())
print(f"100 steps, evaluated op by op:   {slow:.3f} s, loss {evaluated[0]:.4f} -> {evaluated[-1]:.4f}")
print(f"100 steps, compiled on the way:  {first:.3f} s, loss {compiled[0]:.4f} -> {compiled[-1]:.4f}")
assert np.allclose(evaluated, compiled, atol=1e-3)
assert evaluated[-1] < 0.5 * evaluated[0]

print(native)
print("\n".join(str(native.kernels).splitlines()[:12]))
