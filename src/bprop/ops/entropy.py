"""Terms of entropies and divergences, and robust losses: x log x, x log(x/y), x log(1 + y), Huber's."""

from math import inf
from typing import Any

import numpy as np

from ..core.family import Elementwise
from ..core.function import FUNCTIONS
from ..core.value import Array
from .exponential import log, log1p
from .selection import where
from .special_function import described, special_function, together

__all__: list[str] = []

POSITIVE = (0.0, inf)


entr: Elementwise = special_function(
    "entr", lambda y, x: -log(x) - 1, domain=POSITIVE, latex=r"-{0} \log {0}",
    native=lambda x: where(x < 0, -inf, -FUNCTIONS["xlogy"](x, x)),
    doc=described("y = -x log x, 0 at 0 and -∞ left of it; ∂y/∂x = -log x - 1, ∞ at 0.", "entr(bprop.asarray([0.0, 0.5]))",
                  "Array([0.        , 0.34657359])"),
)  # fmt: skip


def log_ratio(x: Any, y: Any) -> Any:
    """Log(x/y): of nearly equal numbers from their difference, of two zeros 0."""
    near = (x > 0.5 * y) & (x < 2 * y)
    zeros = (x == 0) & (y == 0)
    close = log1p(where(near, (x - y) / where(near, y, 1), 0))
    far = log(where(near | zeros, 1, x / where(y == 0, 1, y)))
    return where(near, close, where((y == 0) & (x > 0), inf, far))


def deviance(x: Any, y: Any) -> Any:
    """x log(x/y) - x + y for NumPy arrays: near x = y as a series in v = (x - y)/(x + y), where the terms cancel.

    **Source:** Loader (2000), Fast and accurate computation of binomial probabilities.
    """
    total = x + y
    near = np.abs(x - y) < 0.2 * total
    v = np.where(near, (x - y) / np.where(near, total, 1), 0.0)
    w: Any = v * v
    series: Any = 0.0
    for k in range(12, 0, -1):
        series = (series + 2 / (2 * k + 1)) * w
    close = (x - y) * v + x * v * series
    with np.errstate(all="ignore"):
        far = np.where(x == 0, y, x * (np.log(x) - np.log(y)) - x + y)
    return np.where(near, close, np.where((x < 0) | (y < 0), inf, far))


def _kl_div(x: Any, y: Any) -> Any:
    z = np.where((x == 0) & (y >= 0), y, np.where((y == 0) & (x > 0), inf, deviance(x, y)))
    return np.where((x == x) & (y == y), z, np.nan)


rel_entr: Elementwise = special_function(
    "rel_entr", lambda z, x, y: where((x == 0) & (y == 0), 0, log_ratio(x, y) + 1),
    lambda z, x, y: -where(x == 0, 0, x / y), domain=(POSITIVE, POSITIVE), latex=r"{0} \log \frac{{{0}}}{{{1}}}",
    doc=described("""z = x log(x/y), 0 for x = 0, ∞ where x is positive and y is 0, or one is negative; ∂z/∂x = log(x/y) + 1,
    ∂z/∂y = -x/y. Of a pair of zeros both derivatives are 0.""", "rel_entr(bprop.asarray([0.0, 0.5]), bprop.asarray([0.0, 1.0]))",
                  "Array([ 0.        , -0.34657359])"),
)  # fmt: skip

kl_div: Elementwise = special_function(
    "kl_div", lambda z, x, y: log_ratio(x, y), lambda z, x, y: where(x == 0, 1, (y - x) / y), evaluate=_kl_div,
    domain=(POSITIVE, POSITIVE), latex=r"{0} \log \frac{{{0}}}{{{1}}} - {0} + {1}",
    doc=described("""z = x log(x/y) - x + y, also where x and y are nearly equal and the terms cancel; ∂z/∂x = log(x/y),
    ∂z/∂y = 1 - x/y. Of a pair of zeros they are 0 and 1.""", "kl_div(bprop.asarray([0.0, 0.5]), bprop.asarray([0.0, 1.0]))",
                  "Array([0.        , 0.15342641])"),
)  # fmt: skip

xlog1py: Elementwise = special_function(
    "xlog1py", lambda z, x, y: log1p(y), lambda z, x, y: where((x == 0) & (y == -1), 0, x / (1 + y)),
    native=lambda x, y: where((x == 0) & (y == y), 0, x * log1p(y)),
    domain=((-inf, inf), (-1.0, inf)), latex=r"{0} \log(1 + {1})",
    doc=described("z = x log(1 + y), and 0 where x is 0; ∂z/∂x = log(1 + y), ∂z/∂y = x/(1 + y), 0 where x is 0.",
                  "xlog1py(bprop.asarray([0.0, 0.5]), bprop.asarray([-1.0, 1.0]))", "Array([0.        , 0.34657359])"),
)  # fmt: skip


def huber(delta: Any, r: Any, /) -> Array:
    """y = r²/2 for \\|r\\| ≤ delta, else delta (\\|r\\| - delta/2); ∞ for negative delta. ∂y/∂r = r, else delta sign r.

    **Source:** Huber (1964), Robust estimation of a location parameter; SciPy, ``scipy.special.huber``.

    >>> import bprop
    >>> bprop.scipy.special.huber(1.0, bprop.asarray([0.5, -3.0]))
    Array([0.125, 2.5  ])
    """
    delta, r = together("huber", delta, r)
    size = abs(r)
    y = where(size <= delta, 0.5 * r * r, delta * (size - 0.5 * delta))
    return where(delta < 0, inf, y)


def pseudo_huber(delta: Any, r: Any, /) -> Array:
    """y = delta² (√(1 + (r/delta)²) - 1), as r²/(1 + √…), in which nothing cancels; ∂y/∂r = r/√(1 + (r/delta)²).

    0 for delta = 0 and ∞ for negative delta.

    **Source:** Charbonnier et al. (1997); SciPy, ``scipy.special.pseudo_huber``.

    >>> import bprop
    >>> bprop.scipy.special.pseudo_huber(1.0, bprop.asarray([0.0, 3.0]))
    Array([0.        , 2.16227766])
    """
    delta, r = together("pseudo_huber", delta, r)
    none = (delta == 0) | (r == 0)
    ratio = where(none, 0, r) / where(none, 1, delta)
    y = r * (where(none, 0.5 * r, r) / where(none, 1, 1 + FUNCTIONS["sqrt"](1 + ratio * ratio)))
    return where(delta < 0, inf, where(delta == 0, 0, y))
