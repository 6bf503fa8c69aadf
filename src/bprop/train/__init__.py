"""Training: the loop, its record, metrics, data and weights; the user's own tables."""

from .data import batches, stratified_split
from .loop import evaluate, fit
from .metric import Saturation, accuracy, confusion_matrix, norms, saturation
from .run import Run
from .table import Prediction, Table, TableError, TableModel, TableResult, fit_table, load_table_model, read_table
from .weight import StorageError, load_weights, save_weights

__all__ = [
    "Prediction",
    "Run",
    "Saturation",
    "StorageError",
    "Table",
    "TableError",
    "TableModel",
    "TableResult",
    "accuracy",
    "batches",
    "confusion_matrix",
    "evaluate",
    "fit",
    "fit_table",
    "load_table_model",
    "load_weights",
    "norms",
    "read_table",
    "saturation",
    "save_weights",
    "stratified_split",
]
