"""The user's own tables: reading, encoding, training beside baselines, the influence of columns, prediction."""

from .fit import PreparedTable, TableResult, fit_table
from .model import Prediction, TableModel, load_table_model
from .read import read_table
from .table import Table, TableError

__all__ = [
    "Prediction",
    "PreparedTable",
    "Table",
    "TableError",
    "TableModel",
    "TableResult",
    "fit_table",
    "load_table_model",
    "read_table",
]
