"""Code that was written for others: NumPy's calls that stand for no function of bprop, and other people's arrays."""

from . import sparse as sparse
from . import ufunc_method as ufunc_method

__all__: list[str] = []
