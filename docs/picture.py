"""Draw docs/picture.png: the gradient of one sigmoid unit under squared error and under cross-entropy.

Run as ``python docs/picture.py``.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import bprop

z = np.linspace(-8, 8, 401)  # activation of a unit whose target is 1: wrong on the left, right on the right


def squared(z):
    return 0.5 * (1 - bprop.sigmoid(z)) ** 2


def cross_entropy(z):
    return bprop.softplus(z) - z


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for f, label, colour in ((squared, "½ squared error", "tab:orange"), (cross_entropy, "cross-entropy", "tab:blue")):
    left.plot(z, bprop.vmap(f)(z), label=label, color=colour)
    right.plot(z, bprop.vmap(bprop.grad(f))(z), label=label, color=colour)
left.set(title="error E of one unit with target 1", xlabel="activation z", ylim=(0, 4))
right.set(title="its gradient ∂E/∂z", xlabel="activation z")
right.annotate("most wrong, yet flat", (-7, -0.001), (-7.6, -0.45), arrowprops={"arrowstyle": "->"})
for axes in (left, right):
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
figure.savefig(Path(__file__).with_name("picture.png"), dpi=110)
