"""A module prints what it computes: the equations of its fprop and of its bprop, derived from its code and not written down."""

import numpy as np

from bprop import nn

model = nn.Sequential(nn.Linear(3, 4, seed=0), nn.Tanh(), nn.Linear(4, 2, seed=1))
print(model.equations())
print("\n", nn.CrossEntropy().equations(), sep="")
print("\n", nn.Linear(3, 2).equations().latex, sep="")

# They are what the layer does on numbers, and can be taken one by one.
linear = nn.Linear(3, 2, np.float64, seed=2)
equations = linear.equations()
assert {one.name: str(one.expression) for one in (*equations.fprop, *equations.bprop)} == {
    "y": "x @ W.T + b",
    "x_bar": "y_bar @ W",
    "W_bar": "y_bar.T @ x",
    "b_bar": "sum(y_bar, axis=0)",
}
generator = np.random.default_rng(0)
x, y_bar, W = generator.normal(size=(5, 3)), generator.normal(size=(5, 2)), np.asarray(linear.W)
linear.fprop(x)
assert np.allclose(np.asarray(linear.bprop(y_bar)), y_bar @ W)
assert np.allclose(np.asarray(linear.W_bar), y_bar.T @ x)


class Wrong(nn.Tanh):
    """tanh with a mistake in its backward pass."""

    def bprop(self, y_bar):
        return y_bar * (1 - self.y)  # forgot the square


# Nothing is written by hand, so a wrong bprop shows itself.
right, wrong = str(nn.Tanh().equations()), str(Wrong().equations())
print("\n", right, "\n\n", wrong, sep="")
assert "1 - y" in wrong
assert right.splitlines()[2] == wrong.splitlines()[2]
