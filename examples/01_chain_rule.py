"""The chain rule on a scalar function, by hand and in five ways; all agree."""

import math

import bprop


def f(x):
    """y = tanh(x²) · e^(-x)."""
    return bprop.tanh(x * x) * bprop.exp(-x)


def by_hand(x):
    """z = x², h = tanh z, g = e^(-x), y = h g: dy/dx = dh/dz dz/dx g + h dg/dx."""
    h, g = math.tanh(x * x), math.exp(-x)
    dh_dz, dz_dx, dg_dx = 1 - h * h, 2 * x, -g
    return dh_dz * dz_dx * g + h * dg_dx


x = 0.7
exact = by_hand(x)
print(f"y({x}) = {float(f(x)):.6f}\n\nby hand      {exact:.15f}")

# Forward: the derivative of every intermediate value with respect to x, along with the value.
y, y_dot = bprop.jvp(f, (x,), (1.0,))
print(f"forward      {float(y_dot):.15f}")
assert abs(float(y_dot) - exact) < 1e-15

# Reverse: the derivative of y with respect to every intermediate value, from the end to the beginning.
y, x_bar = bprop.value_and_grad(f)(x)
print(f"reverse      {float(x_bar):.15f}")
assert abs(float(x_bar) - exact) < 1e-15

# Numerical: approximate, but it knows nothing of the rules, so it can check them.
h = 1e-5
central = float((f(x + h) - f(x - h)) / (2 * h))
print(f"differences  {central:.15f}   error {abs(central - exact):.0e}")
assert abs(central - exact) < 1e-9

# The same and two more by name: a formula, and the sum over all paths of the graph.
for method in ("symbolic", "paths", "numerical", "forward", "reverse"):
    derivative = float(bprop.derivative(f, method)(x))
    print(f"{method:12} {derivative:.15f}   error {abs(derivative - exact):.0e}")
    assert abs(derivative - exact) < 1e-9

print("\nThe graph that they run on:")
print(bprop.trace(f)(x))
