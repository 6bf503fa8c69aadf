"""Implementing softmax correctly: subtract the largest activation, and never take the logarithm after softmax."""

import warnings

import numpy as np

import bprop
from bprop import nn


def naive_softmax(a):
    return np.exp(a) / np.sum(np.exp(a))


a, b = np.array([1.0, 2.0, 3.0]), 100.0
print("softmax(a)       ", bprop.softmax(a))
print("softmax(a + 100) ", bprop.softmax(a + b))
assert np.allclose(np.asarray(bprop.softmax(a)), np.asarray(bprop.softmax(a + b)))  # softmax(a + b) = softmax(a)

large = np.array([1000.0, 0.0])
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    naive = naive_softmax(large)
print("\na = [1000, 0]")
print("naive softmax     ", naive, " exp(1000) overflows")
print("softmax           ", bprop.softmax(large))
assert np.isnan(naive).any()
assert bprop.softmax(large).tolist() == [1.0, 0.0]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    after = np.log(np.asarray(bprop.softmax(large)))
print("log after softmax ", after, " what was rounded to 0 is lost")
print("log softmax       ", bprop.log_softmax(large), " a - log Σ exp a")
assert after[1] == -np.inf
assert bprop.log_softmax(large).tolist() == [0.0, -1000.0]

# The loss takes the activations themselves ("logits"), and so its gradient is right however large they are: y - t.
loss = nn.CrossEntropy()
E = loss.fprop(large[None], [1])
print(f"\ncross-entropy with target 1: E = {float(E)}, dE/da = {np.asarray(loss.bprop())}")
assert float(E) == 1000
assert bprop.grad(lambda a: loss(a, [1]))(large[None]).tolist() == [[1.0, -1.0]]
