"""What a network has to beat: the majority or the mean, and a linear model on the same inputs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...compile import compile
from ...core.value import asarray
from ...gradients import value_and_grad
from ...nn import CrossEntropy
from ...ops import matmul, softmax, solve, sum
from .score import log_losses

RIDGE = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
LOGISTIC = (1e2, 1e1, 1.0, 1e-1)
"""From which the strength λ of ½λ|W|² is chosen on the validation part. Where classes can be separated, a logistic
regression with next to no penalty is sure of everything, and its mistakes are costly: hence no smaller one."""


class Baseline(NamedTuple):
    """A baseline's ``name``, its outputs on the test rows, and the penalty that was chosen for it."""

    name: str
    outputs: NDArray[np.float64]
    penalty: float | None = None


class LinearModel(NamedTuple):
    """y = x W + b, with W: (inputs, outputs)."""

    W: NDArray[np.float64]
    b: NDArray[np.float64]

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(x @ self.W + self.b)


def baselines(x: Sequence[NDArray[Any]], t: Sequence[NDArray[Any]], classes: int) -> list[Baseline]:
    """Return both baselines: learned on the first part, the penalty chosen on the second, outputs for the third.

    ``x``, ``t``: inputs and targets of the training, validation and test rows; ``classes``: 0 for a regression. Outputs
    are probabilities (N, C), or values (N,).
    """
    (x_train, x_validation, x_test), (t_train, t_validation, _) = x, t
    if not classes:
        simple = Baseline("mean", np.full(len(x_test), float(t_train.mean())))
        fitted = [(penalty, ridge(x_train, t_train, penalty)) for penalty in RIDGE]
        errors = [float(np.mean((model(x_validation) - t_validation) ** 2)) for _, model in fitted]
        penalty, model = fitted[int(np.argmin(errors))]
        return [simple, Baseline("ridge regression", model(x_test), penalty)]
    frequencies = np.bincount(t_train, minlength=classes) / len(t_train)
    simple = Baseline("majority", np.tile(frequencies, (len(x_test), 1)))
    best: tuple[float, float, LinearModel] | None = None
    start = None
    for penalty in LOGISTIC:  # from the most to the least penalised: each starts where the last one ended
        start = logistic(x_train, t_train, classes, penalty, start)
        error = float(np.mean(log_losses(probabilities(start(x_validation)), t_validation)))
        if best is None or error < best[0]:
            best = error, penalty, start
    assert best is not None
    return [simple, Baseline("logistic regression", probabilities(best[2](x_test)), best[1])]


def probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return softmax over the last axis."""
    return np.asarray(softmax(asarray(logits), axis=-1), np.float64)


def ridge(x: NDArray[Any], t: NDArray[Any], penalty: float) -> LinearModel:
    """Return W, b that make ½ Σ (x W + b - t)² + ½ λ|W|² smallest, by the normal equations; b is not penalised.

    **Source:** Hoerl & Kennard (1970), Ridge regression, eq. 2.1.

    >>> import numpy as np
    >>> from bprop.train.table.baseline import ridge
    >>> model = ridge(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0]), 1e-9)
    >>> model.W.round(6), model.b.round(6)
    (array([2.]), np.float64(1.0))
    """
    centre, mean = x.mean(axis=0), t.mean()
    X = asarray(x - centre)
    normal = matmul(X.T, X) + asarray(penalty * np.eye(X.shape[1]))
    W = np.asarray(solve(normal, matmul(X.T, asarray(t - mean))))
    return LinearModel(W, np.asarray(mean - centre @ W))


def logistic(
    x: NDArray[Any], t: NDArray[Any], classes: int, penalty: float, start: LinearModel | None = None
) -> LinearModel:
    """Return W, b that make Σ -log softmax(x W + b)_t + ½ λ|W|² smallest; b is not penalised.

    The gradient is bprop's, the steps are those of L-BFGS.

    **Source:** Hastie, Tibshirani & Friedman (2009), The elements of statistical learning, section 18.3.2; Liu & Nocedal
    (1989), On the limited memory BFGS method.

    >>> import numpy as np
    >>> from bprop.train.table.baseline import logistic
    >>> model = logistic(np.array([[-1.0], [1.0]]), np.array([0, 1]), 2, penalty=1.0)
    >>> bool(model.W[0, 1] > 0), bool(np.allclose(model.W[0, 0], -model.W[0, 1]))
    (True, True)
    """
    from scipy.optimize import minimize

    X, labels, shape = asarray(x), asarray(t), (x.shape[1] + 1, classes)

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        E, w_bar = _step(asarray(flat.reshape(shape)), X, labels, asarray(penalty))
        return float(E) / len(x), np.asarray(w_bar).ravel() / len(x)

    begin = np.zeros(shape) if start is None else np.vstack([start.W, start.b])
    options = {"maxiter": 500, "gtol": 1e-7, "ftol": 1e-13}
    w = minimize(objective, begin.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(shape)
    return LinearModel(w[:-1], w[-1])


def _error(w: Any, x: Any, t: Any, penalty: Any) -> Any:
    W, b = w[:-1], w[-1]
    return CrossEntropy(reduction="sum")(matmul(x, W) + b, t) + 0.5 * penalty * sum(W * W)


_step = compile(value_and_grad(_error))
