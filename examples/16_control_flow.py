"""Decisions and loops on numbers: bprop.cond, bprop.while_loop and bprop.callback, eager and compiled, with derivatives."""

import numpy as np

import bprop


# In eager code a Python `if` or `while` is enough. In compiled code there are no numbers yet when Python decides:
@bprop.compile
def wrong(x):
    return x * x if x > 0 else -x


try:
    wrong(np.array(2.0))
except bprop.TracedValueError as error:
    print("TracedValueError:", error.message.split(";")[0])


# cond runs one of two functions: the native code branches, and so does its derivative.
def huber(r):
    return bprop.cond(abs(r) < 1, lambda r: r * r / 2, lambda r: abs(r) - 0.5, r)


slope = bprop.compile(bprop.grad(huber))
slopes = [float(slope(np.array(r))) for r in (-3.0, -0.5, 0.5, 3.0)]
print("huber'        ", slopes)
assert slopes == [-1, -0.5, 0.5, 1]


# while_loop runs until it is done. Newton's method for x eˣ = a takes more turns, the larger a is.
def lambert(a):
    def turn(carry):
        x, n = carry
        step = (x * bprop.exp(x) - a) / (bprop.exp(x) * (1 + x))
        return x - step, n + 1

    return bprop.while_loop(lambda c: abs(c[0] * bprop.exp(c[0]) - a) > 1e-12 * a, turn, (bprop.log1p(a), 0))


solve, derivative = bprop.compile(lambert), bprop.compile(bprop.grad(lambda a: lambert(a)[0]))
for a in (0.1, 1.0, 100.0):
    (w, turns), by_newton = solve(np.array(a)), float(derivative(np.array(a)))
    exact = 1 / (a + np.exp(float(w)))  # the derivative of the inverse function
    print(f"W({a:5.1f}) = {float(w):.12f} after {int(turns)} turns, derivative {by_newton:.10f}")
    assert abs(by_newton - exact) < 1e-9 * exact

# callback shows numbers from within: here the carry of every turn of a compiled loop, once each, in order.
seen = []


def halve(x):
    bprop.callback(lambda x: seen.append(float(x)), x)
    return x / 2


bprop.compile(bprop.grad(lambda x: bprop.while_loop(lambda x: x > 1, halve, x)))(np.array(10.0))
print("turns seen    ", seen)
assert seen == [10, 5, 2.5, 1.25]
