"""Constants of the Array API standard: numbers, ``newaxis``, and dtypes, which are NumPy's.

>>> import bprop
>>> bprop.zeros(2, dtype=bprop.float32).dtype == bprop.float32
True
>>> bprop.exp(1.0).item() == bprop.e
True
"""

import math
from typing import Any

import numpy as np

__all__ = [
    "bool",
    "complex64",
    "complex128",
    "e",
    "float32",
    "float64",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "nan",
    "newaxis",
    "pi",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]

e = math.e
inf = math.inf
nan = math.nan
newaxis = None
pi = math.pi

bool: np.dtype[Any] = np.dtype(np.bool_)
int8: np.dtype[Any] = np.dtype(np.int8)
int16: np.dtype[Any] = np.dtype(np.int16)
int32: np.dtype[Any] = np.dtype(np.int32)
int64: np.dtype[Any] = np.dtype(np.int64)
uint8: np.dtype[Any] = np.dtype(np.uint8)
uint16: np.dtype[Any] = np.dtype(np.uint16)
uint32: np.dtype[Any] = np.dtype(np.uint32)
uint64: np.dtype[Any] = np.dtype(np.uint64)
float32: np.dtype[Any] = np.dtype(np.float32)
float64: np.dtype[Any] = np.dtype(np.float64)
complex64: np.dtype[Any] = np.dtype(np.complex64)
complex128: np.dtype[Any] = np.dtype(np.complex128)
