"""Class weights: how much an example of each class counts in the loss, so that rare classes are learned too."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.error import ArgumentError, IndexingError
from ..gradients import vmap
from ..ops import mean, sum


class ClassWeights:
    """A weight for every class.

    Parameters
    ----------
    weights
        ``"balanced"``, a mapping from label to number, or an array of one number per class.
    t
        All targets, or ``None`` if they are unknown beforehand.
    dtype
        The dtype of the weights.

    Raises
    ------
    ArgumentError
        For anything else, and for weights that are not finite, negative, or all 0.
    IndexingError
        For a class in ``t`` that has no weight.
    """

    def __init__(self, weights: Any, t: NDArray[Any] | None, dtype: Any) -> None:
        classes = None if t is None else _classes(t)
        if isinstance(weights, str):
            if weights != "balanced":
                raise ArgumentError(f"fit: class_weights is 'balanced', a mapping or an array, not {weights!r}")
            if classes is None:
                raise ArgumentError(
                    "fit: class_weights='balanced' counts the examples of arrays; give the weights here"
                )
            labels, counts = np.unique(classes, return_counts=True)
            values = len(classes) / (len(labels) * counts)
        else:
            try:
                pairs = (
                    weights.items()
                    if isinstance(weights, Mapping)
                    else enumerate(np.asarray(weights, np.float64).tolist())
                )
                table = dict(sorted((int(label), float(value)) for label, value in pairs))
            except (TypeError, ValueError, OverflowError):
                raise ArgumentError(
                    f"fit: class_weights map labels to numbers, or are an array of one number per class, not {weights!r:.60}"
                ) from None
            labels, values = np.array(list(table), np.int64), np.array(list(table.values()), np.float64)
        if not len(values) or not np.isfinite(values).all() or (values < 0).any() or not (values > 0).any():
            raise ArgumentError(f"fit: class_weights are finite, 0 or more and not all 0, not {weights!r:.80}")
        self.labels, self.values, self.dtype = labels, values.astype(dtype), dtype
        if classes is not None:
            self.of(classes)

    def of(self, t: NDArray[Any]) -> NDArray[Any]:
        """Return the weight of every example, (N,); `IndexingError` for a class without one."""
        classes = _classes(t)
        positions = np.minimum(np.searchsorted(self.labels, classes), len(self.labels) - 1)
        wrong = self.labels[positions] != classes
        if wrong.any():
            raise IndexingError(
                f"fit: class_weights has no weight for class {classes[wrong][0]}, which occurs in train"
            )
        return np.asarray(self.values[positions])

    def by_class(self) -> dict[str, float]:
        """Return the weights by class as plain JSON values."""
        return {str(label): float(value) for label, value in zip(self.labels, self.values, strict=True)}


def _classes(t: NDArray[Any]) -> NDArray[np.int64]:
    """Return one label per example: of labels (N,) or (N, 1), or one-hot (N, C)."""
    if t.ndim == 2 and t.shape[1] > 1:
        return np.argmax(t, axis=1).astype(np.int64)
    flat = t.reshape(len(t), -1)
    if flat.shape[1] != 1 or t.dtype.kind not in "biuf" or not (flat == np.round(flat)).all():
        raise ArgumentError(
            f"fit: class_weights are for targets that name classes, (N,), (N, 1) or one-hot (N, C), not {t.dtype}"
            f"{list(t.shape)}"
        )
    return flat[:, 0].astype(np.int64)


def weighted(loss: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Return E(y, t, w): the loss of every example times its weight, then the mean (or the sum, where the loss sums)."""

    for name in ("weight", "ignore_index"):
        if getattr(loss, name, None) is not None:  # the mean over one example would divide by its weight
            raise ArgumentError(
                f"fit: class_weights and a loss with {name}={getattr(loss, name)!r:.60}: weigh the examples in one place"
            )

    def example_loss(y: Any, t: Any) -> Any:
        return loss(y[None], t[None])

    reduce = sum if getattr(loss, "reduction", "mean") == "sum" else mean

    def weighted_loss(y: Any, t: Any, w: Any) -> Any:
        return reduce(w * vmap(example_loss)(y, t))

    return weighted_loss
