"""Training: the loop, its record and checkpoints, metrics, data and weights; the user's own tables."""

from .. import gradients, region  # noqa: F401 - whole rooms first: see core/lazy.py
from .callback import Callback, TensorBoard
from .checkpoint import Checkpoint
from .data import batches, stratified_split
from .health import Saturation, norms, saturation
from .layer_record import LayerRecord
from .loop import evaluate, fit
from .metric import accuracy, auc, confusion_matrix, f1, mae, mse, r2, rmse
from .run import Run
from .stopping import EarlyStopping
from .storage import StorageError
from .table import Prediction, Table, TableError, TableModel, TableResult, fit_table, load_table_model, read_table
from .training_page import training_page
from .weight import load_weights, save_weights

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "LayerRecord",
    "Prediction",
    "Run",
    "Saturation",
    "StorageError",
    "Table",
    "TableError",
    "TableModel",
    "TableResult",
    "TensorBoard",
    "accuracy",
    "auc",
    "batches",
    "confusion_matrix",
    "evaluate",
    "f1",
    "fit",
    "fit_table",
    "load_table_model",
    "load_weights",
    "mae",
    "mse",
    "norms",
    "r2",
    "read_table",
    "rmse",
    "saturation",
    "save_weights",
    "stratified_split",
    "training_page",
]
