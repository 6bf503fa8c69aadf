"""The user's own tables: reading, encoding, training beside baselines, the influence of columns, prediction."""

from .fit import Preparation, TableResult, fit_table
from .model import Prediction, TableModel, load_table_model
from .read import read_table
from .table import Table, TableError

__all__ = [
    "Prediction",
    "Preparation",
    "Table",
    "TableError",
    "TableModel",
    "TableResult",
    "fit_table",
    "load_table_model",
    "read_table",
]
