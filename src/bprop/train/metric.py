"""What to measure besides the loss: accuracy, F1, area under the ROC curve, R², absolute and squared errors.

Every measure takes outputs ``y`` first and targets ``t`` second and returns a number, so that it can stand among the
``metrics`` of `fit`, by its name too.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.error import ArgumentError, BpropError, IndexingError, ShapeError
from ..core.value import refuse_masked

Metric = Callable[[NDArray[Any], NDArray[Any]], float]


def _labels(y: Any, name: str) -> NDArray[Any]:
    refuse_masked(name, y)
    y = np.asarray(y)
    if y.ndim == 2:
        return np.asarray(np.argmax(y, axis=-1))
    if y.ndim != 1:
        raise ShapeError(f"{name}: shape {y.shape} is neither (N,) for labels nor (N, C) for scores")
    return y


def accuracy(y: Any, t: Any) -> float:
    """Return the share of examples whose class is right.

    Parameters
    ----------
    y, t
        Outputs and targets: (N,) labels, or (N, C) scores (logits, probabilities, one-hot), of which the largest counts.

    Raises
    ------
    ShapeError
        For other shapes, unequal numbers of examples, or none.

    >>> from bprop.train import accuracy
    >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    0.5
    """
    y, t = _labels(y, "accuracy"), _labels(t, "accuracy")
    if y.shape != t.shape or not y.size:
        raise ShapeError(f"accuracy: {len(y)} outputs and {len(t)} targets")
    return float(np.mean(y == t))


def confusion_matrix(y: Any, t: Any, classes: int | None = None) -> NDArray[np.int64]:
    """Return counts (C, C): entry (i, j) is the number of examples of class i taken for class j.

    Parameters
    ----------
    y, t
        As for `accuracy`.
    classes
        The number of classes C; by default one more than the largest label.

    Raises
    ------
    ShapeError
        For unequal numbers of examples.
    IndexingError
        For a label outside 0 … C - 1.

    >>> from bprop.train import confusion_matrix
    >>> confusion_matrix([0, 1, 1], [0, 0, 1])
    array([[1, 1],
           [0, 1]])
    """
    y, t = _labels(y, "confusion_matrix"), _labels(t, "confusion_matrix")
    if y.shape != t.shape:
        raise ShapeError(f"confusion_matrix: {len(y)} outputs and {len(t)} targets")
    both = np.concatenate([y, t]).astype(np.int64)
    count = int(both.max(initial=-1)) + 1 if classes is None else int(classes)
    if both.size and not 0 <= both.min() <= both.max() < count:
        raise IndexingError(f"confusion_matrix: labels from {both.min()} to {both.max()}, with {count} classes")
    counts = np.zeros((count, count), np.int64)
    np.add.at(counts, (t.astype(np.int64), y.astype(np.int64)), 1)
    return counts


def f1(y: Any, t: Any, average: str | None = None) -> float:
    """Return F1 = 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall.

    A class without any TP, FP or FN has F1 0.

    Parameters
    ----------
    y, t
        As for `accuracy`; outputs (N,) or (N, 1) of floats are logits, positive for class 1.
    average
        ``"binary"`` (F1 of class 1), ``"macro"`` (mean over the classes that occur in y or t), ``"weighted"`` (by the number
        of examples in t), ``"micro"`` (of all counts together: the accuracy); by default binary for classes 0 and 1, else
        macro.

    Raises
    ------
    ShapeError
        As `accuracy`.
    ArgumentError
        For another average, and for binary with other classes than 0 and 1.

    **Source:** van Rijsbergen (1979), Information retrieval, chapter 7; averages: scikit-learn, ``f1_score``.

    >>> from bprop.train import f1
    >>> f1([0, 1, 1, 1], [0, 0, 1, 1]), f1([0, 1, 2, 2], [0, 1, 2, 1], average="macro")
    (0.8, 0.7777777777777777)
    """
    y, t = _decided(y, "f1"), _decided(t, "f1")
    if y.shape != t.shape or not y.size:
        raise ShapeError(f"f1: {len(y)} outputs and {len(t)} targets")
    classes = np.unique(np.concatenate([y, t]))
    if average is None:
        average = "binary" if set(classes.tolist()) <= {0, 1} else "macro"
    if average == "micro":
        return float(np.mean(y == t))
    if average == "binary":
        if not set(classes.tolist()) <= {0, 1}:
            raise ArgumentError(f"f1: average='binary' is for classes 0 and 1, not {classes.tolist()[:6]}: use 'macro'")
        return _f1_of(y == 1, t == 1)
    if average not in ("macro", "weighted"):
        raise ArgumentError(f"f1: average is 'binary', 'macro', 'micro' or 'weighted', not {average!r}")
    scores = [_f1_of(y == c, t == c) for c in classes]
    shares = [np.mean(t == c) for c in classes] if average == "weighted" else None
    return float(np.average(scores, weights=shares))


def _f1_of(y: NDArray[np.bool_], t: NDArray[np.bool_]) -> float:
    both, any_ = 2 * int(np.sum(y & t)), int(np.sum(y)) + int(np.sum(t))
    return both / any_ if any_ else 0.0


def _decided(y: Any, name: str) -> NDArray[Any]:
    """Return labels; a single column of floats is decided at 0, or as targets and probabilities 0 and 1 are."""
    refuse_masked(name, y)
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 1 and y.dtype.kind == "f" and not np.isin(y, (0, 1)).all():
        return np.asarray(y > 0, np.int64)
    return _labels(y, name)


def auc(y: Any, t: Any) -> float:
    """Return the area under the ROC curve: the probability that a positive scores higher than a negative, ties half.

    It is NaN if a class has no example or all of them, and for NaN scores.

    Parameters
    ----------
    y
        Scores: (N,) or (N, 1) of class 1, or (N, C) of all classes. Then each class is compared with the others, and the mean
        is taken; for C = 2 the difference of the scores decides.
    t
        Labels (N,), (N, 1), or one-hot (N, C).

    Raises
    ------
    ShapeError
        For other shapes and no examples.

    **Source:** Hanley & McNeil (1982), The meaning and use of the area under a ROC curve; several classes: Provost &
    Domingos (2000), one against the rest, without their weights.

    >>> from bprop.train import auc
    >>> auc([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1])
    0.875
    """
    refuse_masked("auc", [y, t])
    y, t = np.asarray(y), np.asarray(t)
    if t.ndim == 2:
        t = t[:, 0] if t.shape[1] == 1 else np.argmax(t, axis=1)
    if y.ndim not in (1, 2) or t.ndim != 1 or len(y) != len(t) or not y.size:
        raise ShapeError(f"auc: scores of shape {y.shape} and targets of shape {t.shape}: (N,) or (N, C) and (N,)")
    if y.ndim == 2 and y.shape[1] > 2:
        return float(np.mean([_auc_of(y[:, c], t == c) for c in range(y.shape[1])]))
    if y.ndim == 2:
        y = y[:, 0] if y.shape[1] == 1 else y[:, 1].astype(np.float64) - y[:, 0]
    return _auc_of(y, t == 1)


def _auc_of(y: NDArray[Any], t: NDArray[np.bool_]) -> float:
    positive = int(t.sum())
    negative = len(t) - positive
    if not positive or not negative or np.isnan(y).any():
        return float("nan")
    # The sum of the ranks of the positives, ties sharing theirs (Mann and Whitney 1947).
    _, inverse, counts = np.unique(y, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[t].sum() - positive * (positive + 1) / 2) / (positive * negative))


def r2(y: Any, t: Any) -> float:
    """Return R² = 1 - Σ (t - y)² / Σ (t - t̄)²: the share of the targets' variance that the outputs explain.

    It is computed in float64. Constant targets have R² 1 if all outputs are right, else 0.

    Parameters
    ----------
    y, t
        Outputs and targets of one shape: (N,), or (N, K), of which the mean over K is taken.

    Raises
    ------
    ShapeError
        For unequal shapes and no examples.

    **Source:** Wright (1921), Correlation and causation; constant targets: scikit-learn, ``r2_score``.

    >>> from bprop.train import r2
    >>> r2([1.0, 2.0, 4.0], [1.0, 2.0, 3.0])
    0.5
    """
    y, t = _same(y, t, "r2")
    y, t = y.reshape(len(y), -1), t.reshape(len(t), -1)
    residual = np.sum((t - y) ** 2, axis=0)
    total = np.sum((t - t.mean(axis=0)) ** 2, axis=0)
    constant = total == 0
    shares = np.where(constant, residual != 0, residual / np.where(constant, 1, total))
    return float(np.mean(1 - shares))


def mae(y: Any, t: Any) -> float:
    """Return the mean absolute error Σ |t - y| / N over all entries; shapes and errors as for `r2`.

    >>> from bprop.train import mae
    >>> mae([1.0, 2.0], [2.0, 4.0])
    1.5
    """
    y, t = _same(y, t, "mae")
    return float(np.mean(np.abs(t - y)))


def mse(y: Any, t: Any) -> float:
    """Return the mean squared error Σ (t - y)² / N over all entries; shapes and errors as for `r2`.

    >>> from bprop.train import mse
    >>> mse([1.0, 2.0], [2.0, 4.0])
    2.5
    """
    y, t = _same(y, t, "mse")
    return float(np.mean((t - y) ** 2))


def rmse(y: Any, t: Any) -> float:
    """Return √`mse`, in the units of the targets.

    >>> from bprop.train import rmse
    >>> rmse([1.0, 2.0], [1.0, 4.0])
    1.4142135623730951
    """
    return float(np.sqrt(mse(y, t)))


def _same(y: Any, t: Any, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    refuse_masked(name, [y, t])
    y, t = np.asarray(y, np.float64), np.asarray(t, np.float64)
    if y.shape != t.shape and y.size == t.size and y.shape[:1] == t.shape[:1]:  # (N,) and (N, 1)
        y = y.reshape(t.shape)
    if y.shape != t.shape or not y.size:
        raise ShapeError(f"{name}: outputs of shape {y.shape} and targets of shape {t.shape}")
    return y, t


METRICS: dict[str, Metric] = {
    "accuracy": accuracy, "f1": f1, "auc": auc, "r2": r2, "mae": mae, "mse": mse, "rmse": rmse
}  # fmt: skip


def chosen_metrics(metrics: Any, default: tuple[str, ...] = (), name: str = "fit") -> dict[str, Metric]:
    """Return functions by name, from a mapping, or from a list of names and functions.

    Raises `ArgumentError`, beginning with ``name``, for what is none, for a name given twice, and for the name loss, under
    which the loss itself is recorded.
    """
    if metrics is None:
        metrics = default
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    if isinstance(metrics, Mapping):
        pairs = list(metrics.items())
    elif isinstance(metrics, list | tuple):
        pairs = [(m if isinstance(m, str) else getattr(m, "__name__", type(m).__name__), m) for m in metrics]
    else:
        raise ArgumentError(
            f"{name}: metrics are names, functions, or a mapping of names to functions: {metrics!r:.60}"
        )
    chosen: dict[str, Metric] = {}
    for key, metric in pairs:
        function = METRICS.get(metric) if isinstance(metric, str) else metric
        if not callable(function) or isinstance(function, type):
            raise ArgumentError(
                f"{name}: metrics map names to functions of outputs and targets, or are one of {', '.join(METRICS)}; "
                f"{metric!r:.60} is neither"
            )
        if not isinstance(key, str) or not key:
            raise ArgumentError(f"{name}: the name of a metric is a text, not {key!r:.60}")
        if key == "loss":
            raise ArgumentError(f"{name}: no metric is called 'loss', as the loss itself is recorded under that name")
        if key in chosen:
            raise ArgumentError(f"{name}: two metrics are called {key!r:.60}: give a mapping of names to functions")
        chosen[key] = function
    return chosen


def measured(name: str, metric: Metric, y: NDArray[Any], t: NDArray[Any]) -> float:
    """Return a metric as a float; `ArgumentError` naming it if it raises or returns something else."""
    where = f"metric {name!r} of outputs {y.dtype}{list(y.shape)} and targets {t.dtype}{list(t.shape)}"
    try:
        value = metric(y, t)
    except BpropError as error:
        error.message = f"{where}: {error.message}"
        raise
    except Exception as error:  # whatever it is, it comes from the user's own function
        raise ArgumentError(f"{where} raised {type(error).__name__}: {error}") from error
    try:
        array = np.asarray(value)
        number = np.asarray(array, np.float64) if array.dtype.kind in "biufO" and value is not None else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or number.size != 1:
        raise ArgumentError(f"{where} returned {value!r:.60}, not a number")
    return float(number.reshape(()))
