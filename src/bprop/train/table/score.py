"""Scores of predictions on held-out rows: of classes by their probabilities, of quantities in the target's own unit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..metric import accuracy, auc, mae, r2, rmse

Scores = dict[str, float]
SMALLEST = 1e-15  # a probability of 0 for what did happen costs 34.5 nats, not infinity


def classification_scores(probabilities: NDArray[Any], t: NDArray[Any]) -> Scores:
    """Return ``accuracy``, ``log_loss`` (mean of -log of the probability of the true class) and of two classes ``auc``.

    ``probabilities``: (N, C); ``t``: (N,) class numbers. The AUC is left out where only one class occurs.

    >>> import numpy as np
    >>> from bprop.train.table.score import classification_scores
    >>> classification_scores(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1]))["auc"]
    1.0
    """
    scores = {"accuracy": accuracy(probabilities, t), "log_loss": float(np.mean(log_losses(probabilities, t)))}
    if probabilities.shape[1] == 2 and 0 < t.sum() < len(t):
        scores["auc"] = auc(probabilities[:, 1], t)
    return scores


def log_losses(probabilities: NDArray[Any], t: NDArray[Any]) -> NDArray[np.float64]:
    """Return -log of the probability of the true class, row by row."""
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(t)), t], SMALLEST)))


def regression_scores(y: NDArray[Any], t: NDArray[Any]) -> Scores:
    """Return ``r2`` = 1 - Σ(t - y)² / Σ(t - mean t)², ``mae`` = mean |t - y| and ``rmse`` = √ mean (t - y)².

    The R² of a target that is the same everywhere is left out.

    >>> import numpy as np
    >>> from bprop.train.table.score import regression_scores
    >>> regression_scores(np.array([1.0, 2.0]), np.array([1.0, 3.0]))["r2"]
    0.5
    """
    scores = {"r2": r2(y, t)} if np.ptp(t) > 0 else {}
    return scores | {"mae": mae(y, t), "rmse": rmse(y, t)}


def row_losses(y: NDArray[Any], t: NDArray[Any], classes: bool) -> dict[str, NDArray[np.float64]]:
    """Return the losses of every row by which models are compared, the most important first."""
    if not classes:
        return {"squared error": np.asarray((t - y) ** 2, np.float64)}
    return {"accuracy": np.asarray(y.argmax(axis=1) != t, np.float64), "log loss": log_losses(y, t)}


def verdict(losses: Mapping[str, Mapping[str, NDArray[np.float64]]], network: str = "network") -> str:
    """Return a sentence that says how the network compares with the best baseline on the same rows.

    ``losses``: by model and measure, the losses of the test rows. A difference is clear if it is more than twice its
    standard error, that of the mean of the differences row by row; the first measure that differs clearly decides.

    >>> import numpy as np
    >>> from bprop.train.table.score import verdict
    >>> verdict({"network": {"squared error": np.zeros(9)}, "mean": {"squared error": np.ones(9)}})
    'The network is better than the best baseline (mean) on these 9 rows, by squared error.'
    """
    best, rows = "", ""
    for measure, network_losses in losses[network].items():
        others = {name: by_measure[measure] for name, by_measure in losses.items() if name != network}
        best = min(reversed(others), key=lambda name: float(others[name].mean()))  # of equal ones the stronger model
        difference = network_losses - others[best]
        rows = f"these {len(network_losses):,} rows"
        mean, error = float(difference.mean()), float(difference.std(ddof=1)) / len(network_losses) ** 0.5
        if abs(mean) > 2 * error:
            how = "better" if mean < 0 else "WORSE"
            advice = "" if mean < 0 else f" Use {best}, or train differently."
            return f"The network is {how} than the best baseline ({best}) on {rows}, by {measure}.{advice}"
    return (
        f"No clear difference between the network and the best baseline ({best}): it is within two standard errors on "
        f"{rows}. The simpler model is the safer choice."
    )
