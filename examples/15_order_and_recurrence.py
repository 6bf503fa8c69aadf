"""Through what looks as if it had no derivative: sorting, indexing, writing entries, running sums and recurrences."""

import numpy as np

import bprop

x = np.array([3.0, -1.0, 2.0, 5.0, 0.5])


# Sorting only moves numbers: the derivative of each goes where it came from.
def trimmed(x):
    """The mean without the smallest and the largest entry."""
    return bprop.mean(bprop.sort(x)[1:-1])


g = np.asarray(bprop.grad(trimmed)(x))
print("trimmed mean  ", trimmed(x), "  gradient", g)
assert np.allclose(g, [1 / 3, 0, 1 / 3, 0, 1 / 3])


# Arrays do not change; x.at[index].set(v) is a copy in which some entries are others. They no longer depend on x.
def written(x):
    y = bprop.asarray(x).at[1:3].set(0.0).at[0].add(x[4])
    return bprop.sum(y * y)


x0, x3, x4 = x[[0, 3, 4]]
g = np.asarray(bprop.grad(written)(x))
print("after writing ", written(x), "         gradient", g)
assert np.allclose(g, [2 * (x0 + x4), 0, 0, 2 * x3, 2 * (x0 + x4) + 2 * x4])  # y = (x0 + x4, 0, 0, x3, x4)

# The derivative of a product is the product of the others, also where one of them is 0 and y/x says nothing.
z = np.array([2.0, 0.0, 3.0, 4.0])
g = np.asarray(bprop.grad(bprop.prod)(z))
print("product       ", bprop.prod(z), "           gradient", g)
assert g.tolist() == [0, 24, 0, 0]


# An exponential moving average is a linear recurrence, y_k = a y_{k-1} + (1 - a) b_k. How much memory fits best?
def error(a, b):
    """Half the squared error of predicting each entry by the average of those before it."""
    y = bprop.linear_recurrence(a, (1 - a) * b)
    return 0.5 * bprop.sum((b[1:] - y[:-1]) ** 2)


b = np.cumsum(np.random.default_rng(0).normal(size=200)) + 2 * np.random.default_rng(1).normal(size=200)
a = 0.9
for _ in range(50):  # Newton's method, with both derivatives from bprop
    first, second = bprop.grad(error)(a, b), bprop.hessian(error)(a, b)
    a -= float(first) / float(second)
print(f"best memory    a = {a:.6f}, error {float(error(a, b)):.4f}, dE/da = {float(first):.0e}")
assert abs(float(bprop.grad(error)(a, b))) < 1e-9
assert float(error(a, b)) < min(float(error(a - 0.05, b)), float(error(a + 0.05, b)))
