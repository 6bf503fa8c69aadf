"""Code that was written for others: NumPy's functions with their own parameters, methods of ufuncs, other people's arrays."""

from .. import ops  # noqa: F401 - whole rooms first: see core/lazy.py
from . import numpy_choice as numpy_choice
from . import numpy_creation as numpy_creation
from . import numpy_elementwise as numpy_elementwise
from . import numpy_histogram as numpy_histogram
from . import numpy_join as numpy_join
from . import numpy_linalg as numpy_linalg
from . import numpy_nan as numpy_nan
from . import numpy_pad as numpy_pad
from . import numpy_polynomial as numpy_polynomial
from . import numpy_product as numpy_product
from . import numpy_quantile as numpy_quantile
from . import numpy_question as numpy_question
from . import numpy_reduction as numpy_reduction
from . import numpy_set as numpy_set
from . import numpy_shape as numpy_shape
from . import numpy_signal as numpy_signal
from . import numpy_statistics as numpy_statistics
from . import sparse as sparse
from . import ufunc_method as ufunc_method

__all__: list[str] = []
