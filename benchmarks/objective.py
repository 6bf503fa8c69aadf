"""The field's own tasks, as a user would write them: objectives of ADBench, and k-means with its Hessian.

Each task is made by a function of its sizes that returns the objective as a function of ``np``, the namespace that a library
differentiates, and one vector of parameters, with the numbers that go in.

**Source:** Srajer, Kukelova & Fitzgibbon (2018), A benchmark of selected algorithmic differentiation tools on some problems in
computer vision and machine learning (the Gaussian mixture, bundle adjustment and LSTM); the numbers here are drawn, of the
same sizes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

Objective = Callable[[Any, Any], Any]


class Task(NamedTuple):
    """``objective(np, x)`` is a number; ``x`` the parameters.

    ``scanned``: it takes ``scan`` as a third argument, which compiled code gives; without it the loop is Python's.
    ``hessian``: its derivative is the gradient with the diagonal of the Hessian, as the product with a vector of ones.
    """

    objective: Objective
    x: numpy.ndarray
    scanned: bool = False
    hessian: bool = False


def python_scan(step: Callable[[Any, Any], Any], carry: Any, xs: Any) -> Any:
    """What ``scan(step, carry, xs)`` does, as a loop of Python; the results of steps are a list."""
    ys = []
    for x in zip(*xs, strict=True):
        carry, y = step(carry, x)
        ys.append(y)
    return carry, ys


def logsumexp(np: Any, x: Any) -> Any:
    """Log of the sum of exponentials over the last axis."""
    top = np.max(x, axis=-1, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=-1)) + top[..., 0]


def gaussian_mixture(K: int, D: int, N: int = 1000) -> Task:
    """Negative log-posterior of a mixture of K Gaussians with full covariances in D dimensions, Wishart prior included."""
    random = numpy.random.default_rng(K * 100 + D)
    X = random.normal(size=(N, D))
    packed = D * (D - 1) // 2
    rows, columns = numpy.tril_indices(D, -1)
    position = numpy.full((D, D), packed)  # of the zero behind the packed entries
    position[rows, columns] = numpy.arange(packed)
    gamma, m = 1.0, 0

    def objective(np, x):
        alphas, means = x[:K], np.reshape(x[K : K + K * D], (K, D))
        factors = np.reshape(x[K + K * D :], (K, D + packed))
        logs, lower = factors[:, :D], factors[:, D:]
        diagonal = np.exp(logs)
        padded = np.concatenate([lower, numpy.zeros((K, 1))], axis=1)
        L = padded[:, position]  # strictly lower triangles
        centred = X[:, None, :] - means
        z = diagonal * centred + np.einsum("kij,nkj->nki", L, centred)
        inner = alphas + np.sum(logs, axis=1) - 0.5 * np.sum(z**2, axis=2)
        slack = np.sum(logsumexp(np, inner)) - N * logsumexp(np, alphas)
        prior = 0.5 * gamma**2 * (np.sum(diagonal**2) + np.sum(lower**2)) - m * np.sum(logs)
        return prior - slack

    return Task(objective, 0.3 * random.normal(size=K + K * D + K * (D + packed)))


def bundle_adjustment(cameras: int, points: int, observations: int) -> Task:
    """Half the sum of squared, weighted reprojection errors: 11 numbers a camera, 3 a point, a weight an observation."""
    random = numpy.random.default_rng(observations)
    camera, point = random.integers(0, cameras, observations), random.integers(0, points, observations)
    features = random.normal(size=(observations, 2))

    def cross(np, a, b):
        parts = [a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1], a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
                 a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]]  # fmt: skip
        return np.stack(parts, axis=1)

    def objective(np, x):
        C = np.reshape(x[: 11 * cameras], (cameras, 11))[camera]
        P = np.reshape(x[11 * cameras : 11 * cameras + 3 * points], (points, 3))[point]
        weights = x[11 * cameras + 3 * points :]
        rotation, centre, focal, principal, radial = C[:, :3], C[:, 3:6], C[:, 6:7], C[:, 7:9], C[:, 9:]
        angle = np.sqrt(np.sum(rotation**2, axis=1))[:, None]
        axis, moved = rotation / angle, P - centre
        along = np.sum(axis * moved, axis=1)[:, None]
        turned = moved * np.cos(angle) + cross(np, axis, moved) * np.sin(angle) + axis * along * (1 - np.cos(angle))
        flat = turned[:, :2] / turned[:, 2:]
        squared = np.sum(flat**2, axis=1)[:, None]
        distorted = flat * (1 + squared * radial[:, :1] + squared**2 * radial[:, 1:])
        errors = weights[:, None] * (focal * distorted + principal - features)
        return 0.5 * np.sum(errors**2) + 0.5 * np.sum((1 - weights**2) ** 2)

    C = random.normal(size=(cameras, 11)) * numpy.array([0.1] * 3 + [0.1] * 3 + [0.1] + [0.1] * 2 + [0.01] * 2)
    C[:, 6] += 1.0
    P = random.normal(size=(points, 3)) + numpy.array([0, 0, 6.0])
    return Task(objective, numpy.concatenate([C.ravel(), P.ravel(), numpy.ones(observations)]))


def lstm(layers: int, width: int = 14, length: int = 100) -> Task:
    """Loss of ADBench's diagonal LSTM on a sequence, written as a loop over its characters."""
    random = numpy.random.default_rng(layers)
    sequence = random.integers(0, 2, (length, width)).astype(float)
    main = layers * 2 * 4 * width

    def sigmoid(np, z):
        return 1 / (1 + np.exp(-z))

    def objective(np, x, scan=python_scan):
        W = np.reshape(x[:main], (layers, 2, 4, width))
        inner, outer, offset = x[main : main + width], x[main + width : main + 2 * width], x[main + 2 * width :]

        def step(carry, now_and_next):
            hidden, state, total = list(carry[0]), list(carry[1]), carry[2]
            now, after = now_and_next
            value = now * inner
            for layer in range(layers):
                weight, bias = W[layer, 0], W[layer, 1]
                forget = sigmoid(np, value * weight[0] + bias[0])
                ingate = sigmoid(np, hidden[layer] * weight[1] + bias[1])
                outgate = sigmoid(np, value * weight[2] + bias[2])
                change = np.tanh(hidden[layer] * weight[3] + bias[3])
                state[layer] = state[layer] * forget + ingate * change
                value = hidden[layer] = outgate * np.tanh(state[layer])
            predicted = value * outer + offset
            gain = np.sum(after * (predicted - np.log(2 + np.sum(np.exp(predicted)))))
            return (tuple(hidden), tuple(state), total + gain), None

        zeros = (numpy.zeros(width),) * layers
        (_, _, total), _ = scan(step, (zeros, zeros, numpy.zeros(())), (sequence[:-1], sequence[1:]))
        return -total / ((length - 1) * width)

    return Task(objective, 0.3 * random.normal(size=main + 3 * width), scanned=True)


def k_means(K: int, N: int = 10_000, D: int = 16) -> Task:
    """Sum of squared distances to the nearest of K centres: its gradient, and the diagonal of its Hessian."""
    random = numpy.random.default_rng(K)
    X = random.normal(size=(N, D))

    def objective(np, x):
        centres = np.reshape(x, (K, D))
        distances = np.sum(X**2, axis=1)[:, None] - 2 * np.dot(X, centres.T) + np.sum(centres**2, axis=1)
        return np.sum(np.min(distances, axis=1))

    return Task(objective, random.normal(size=K * D), hessian=True)


TASKS: dict[str, Callable[[], Task]] = {
    "GMM K=5 D=2": lambda: gaussian_mixture(5, 2),
    "GMM K=10 D=10": lambda: gaussian_mixture(10, 10),
    "GMM K=5 D=32": lambda: gaussian_mixture(5, 32),
    "GMM K=50 D=10": lambda: gaussian_mixture(50, 10),
    "GMM K=50 D=32": lambda: gaussian_mixture(50, 32),
    "BA 2,000": lambda: bundle_adjustment(16, 600, 2_000),
    "BA 31,843": lambda: bundle_adjustment(49, 7776, 31_843),
    "LSTM 2 layers": lambda: lstm(2),
    "LSTM 4 layers": lambda: lstm(4),
    "k-means K=10": lambda: k_means(10),
}
LONG = ("GMM K=50 D=32", "BA 31,843", "LSTM 4 layers")
"""The large ones."""
