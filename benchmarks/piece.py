"""Small pieces of NumPy code, as people write them: what is differentiated eagerly, beside other libraries.

Each piece is a function of ``np``, the NumPy namespace that a library differentiates, that returns the function and its
argument. The random numbers are the same for all.
"""

from collections.abc import Callable
from typing import Any

import numpy

Made = tuple[Callable[[Any], Any], Any]


def logistic_regression(np: Any) -> Made:
    """Loss of logistic regression, 200 examples of 10 features."""
    random = numpy.random.default_rng(0)
    X, t = random.normal(size=(200, 10)), random.integers(0, 2, 200).astype(float)

    def loss(w):
        z = np.dot(X, w)
        return np.mean(np.logaddexp(0.0, z) - t * z) + 0.01 * np.sum(w**2)

    return loss, random.normal(size=10)


def gaussian_mixture(np: Any) -> Made:
    """Log-likelihood of a mixture of 3 diagonal Gaussians in 2 dimensions, 500 points."""
    random = numpy.random.default_rng(1)
    X = random.normal(size=(500, 2))

    def log_likelihood(theta):
        logits, means, log_scales = theta[:3], np.reshape(theta[3:9], (3, 2)), np.reshape(theta[9:15], (3, 2))
        log_weights = logits - np.log(np.sum(np.exp(logits)))
        z = (X[:, None, :] - means) / np.exp(log_scales)
        logs = log_weights - np.sum(log_scales, axis=1) - 0.5 * np.sum(z**2, axis=2)
        top = np.max(logs, axis=1, keepdims=True)
        return np.sum(np.log(np.sum(np.exp(logs - top), axis=1)) + top[:, 0])

    return log_likelihood, 0.3 * random.normal(size=15)


def pde_residual(np: Any) -> Made:
    """Squared residual of the 2-D Poisson equation on a 50 × 50 grid, by slices."""
    random = numpy.random.default_rng(2)
    f = random.normal(size=(48, 48))

    def residual(u):
        laplacian = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1]
        return np.sum((laplacian - f) ** 2)

    return residual, random.normal(size=(50, 50))


def pendulum(np: Any) -> Made:
    """A pendulum, 200 steps of the symplectic Euler rule, in scalars."""

    def final(start):
        angle, speed = start[0], start[1]
        for _ in range(200):
            speed = speed - 0.01 * np.sin(angle)
            angle = angle + 0.01 * speed
        return angle**2 + speed**2

    return final, numpy.array([1.0, 0.2])


def mlp(np: Any) -> Made:
    """Cross-entropy of a perceptron with one hidden layer, 20-30-5, batch 32; parameters in one vector."""
    random = numpy.random.default_rng(3)
    X, labels = random.normal(size=(32, 20)), random.integers(0, 5, 32)
    T = numpy.eye(5)[labels]

    def loss(theta):
        W1, b1 = np.reshape(theta[:600], (20, 30)), theta[600:630]
        W2, b2 = np.reshape(theta[630:780], (30, 5)), theta[780:785]
        z = np.dot(np.tanh(np.dot(X, W1) + b1), W2) + b2
        z = z - np.max(z, axis=1, keepdims=True)
        return -np.mean(np.sum(T * (z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))), axis=1))

    return loss, 0.2 * random.normal(size=785)


def row_loop(np: Any) -> Made:
    """A Python loop over the 100 rows of a matrix."""
    random = numpy.random.default_rng(4)
    X = random.normal(size=(100, 8))

    def total(w):
        result = 0.0
        for row in X:
            result = result + np.tanh(np.dot(row, w)) ** 2
        return result

    return total, random.normal(size=8)


def rosenbrock(np: Any) -> Made:
    """Rosenbrock's function of 100 variables."""

    def value(x):
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return value, numpy.random.default_rng(5).normal(size=100)


def determinant(np: Any) -> Made:
    """The determinant of a 5 × 5 matrix by its expansion along rows, in scalars."""

    def expanded(A, rows, columns):
        if len(columns) == 1:
            return A[rows, columns[0]]
        total = 0.0
        for position, column in enumerate(columns):
            rest = columns[:position] + columns[position + 1 :]
            total = total + (-1) ** position * A[rows, column] * expanded(A, rows + 1, rest)
        return total

    return lambda A: expanded(A, 0, (0, 1, 2, 3, 4)), numpy.random.default_rng(6).normal(size=(5, 5))


PIECES = (logistic_regression, gaussian_mixture, pde_residual, pendulum, mlp, row_loop, rosenbrock, determinant)
