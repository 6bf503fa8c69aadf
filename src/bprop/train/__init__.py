"""Training: the loop, its record, metrics, data and weights."""

from .data import batches, stratified_split
from .loop import evaluate, fit
from .metric import Saturation, accuracy, confusion_matrix, norms, saturation
from .run import Run
from .weight import StorageError, load_weights, save_weights

__all__ = [
    "Run",
    "Saturation",
    "StorageError",
    "accuracy",
    "batches",
    "confusion_matrix",
    "evaluate",
    "fit",
    "load_weights",
    "norms",
    "saturation",
    "save_weights",
    "stratified_split",
]
