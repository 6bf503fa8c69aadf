"""Constants of the Array API standard: numbers, ``newaxis``, and dtypes, by NumPy's scalar types.

These, not ``numpy.dtype`` objects: of such a one NumPy says that ``None == numpy.dtype("float64")``.

>>> import bprop
>>> bprop.zeros(2, dtype=bprop.float32).dtype == bprop.float32
True
>>> bprop.exp(1.0).item() == bprop.e
True
"""

import math

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

bool = np.bool_
int8 = np.int8
int16 = np.int16
int32 = np.int32
int64 = np.int64
uint8 = np.uint8
uint16 = np.uint16
uint32 = np.uint32
uint64 = np.uint64
float32 = np.float32
float64 = np.float64
complex64 = np.complex64
complex128 = np.complex128
