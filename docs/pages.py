"""Makes the pages of which `docs/view.png` and `docs/network.png` are pictures: ``python docs/pages.py FOLDER``.

The pictures: ``chromium --headless --hide-scrollbars --window-size=1180,800 --screenshot=view.png view.html``, and 1290,600 for the other.
"""

import sys
from pathlib import Path

import numpy as np

import bprop
from bprop import nn


def neuron(w, x, b, t):
    """One unit with squared error, of which every factor can be read."""
    z = w * x + b
    y = np.tanh(z)
    return 0.5 * (t - y) ** 2


def deep(model, x, t):
    """Cross-entropy of a network that is too deep for its sigmoids."""
    return nn.CrossEntropy()(model(x), t)


def main(folder: Path) -> None:
    """Write both pages."""
    bprop.view(neuron, 0.6, 1.5, -0.2, 1.0).save(folder / "view.html")
    random = np.random.default_rng(0)
    layers = [layer for i in range(6) for layer in (nn.Linear(32, 32, seed=i), nn.Sigmoid())]
    model = nn.Sequential(*layers, nn.Linear(32, 3, seed=9))
    x, t = random.normal(size=(64, 32)).astype(np.float32), random.integers(0, 3, 64)
    bprop.view(deep, model, x, t).save(folder / "network.html")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
