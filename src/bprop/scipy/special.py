"""The functions of `scipy.special`, by SciPy's names and arguments.

>>> import bprop
>>> bprop.grad(bprop.scipy.special.gamma)(2.0)
Array(0.42278434)
"""

from typing import Any, Literal, overload

import numpy as np

from ..core.error import ArgumentError
from ..core.lazy import exported
from ..core.number import numpy_flag
from ..core.op import array
from ..core.shape import normalise_axes
from ..core.value import Array
from ..ops import log_sum_exp
from ..ops.bessel import (
    airy,
    i0,
    i0e,
    i1,
    i1e,
    iv,
    ive,
    j0,
    j1,
    jv,
    k0,
    k0e,
    k1,
    k1e,
    kv,
    kve,
    spherical_in,
    spherical_jn,
    y0,
    y1,
    yv,
)
from ..ops.elliptic import ellipe, ellipk, ellipkm1
from ..ops.entropy import entr, huber, kl_div, pseudo_huber, rel_entr, xlog1py
from ..ops.exponential import exp, exp2, expm1, log, log1p
from ..ops.exponential_integral import exp1, expi, expn, exprel, lambertw, shichi, sici, spence
from ..ops.gamma import (
    beta,
    betaln,
    binom,
    comb,
    factorial,
    gamma,
    gammasgn,
    loggamma,
    multigammaln,
    poch,
    rgamma,
    zeta,
)
from ..ops.incomplete_gamma import (
    betainc,
    betaincc,
    betainccinv,
    betaincinv,
    gammainc,
    gammaincc,
    gammainccinv,
    gammaincinv,
)
from ..ops.manipulation import broadcast_arrays
from ..ops.normal_distribution import dawsn, erfcinv, erfcx, erfi, log_ndtr, ndtr, ndtri, owens_t, wofz
from ..ops.power import cbrt
from ..ops.power_transformation import boxcox, boxcox1p, cosm1, exp10, inv_boxcox, inv_boxcox1p, radian
from ..ops.reduction import max, sum
from ..ops.rounding import round
from ..ops.selection import stop_gradient, where
from ..ops.sigmoidal import log_sigmoid as log_expit
from ..ops.sigmoidal import logit
from ..ops.sigmoidal import sigmoid as expit
from ..ops.special import digamma, erf, erfc, erfinv, gammaln, polygamma, xlogy

jn, yn, kn, psi = jv, yv, kv, digamma

__all__ = [
    "airy",
    "beta",
    "betainc",
    "betaincc",
    "betainccinv",
    "betaincinv",
    "betaln",
    "binom",
    "boxcox",
    "boxcox1p",
    "cbrt",
    "comb",
    "cosm1",
    "dawsn",
    "digamma",
    "ellipe",
    "ellipk",
    "ellipkm1",
    "entr",
    "erf",
    "erfc",
    "erfcinv",
    "erfcx",
    "erfi",
    "erfinv",
    "exp1",
    "exp2",
    "exp10",
    "expi",
    "expit",
    "expm1",
    "expn",
    "exprel",
    "factorial",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammainccinv",
    "gammaincinv",
    "gammaln",
    "gammasgn",
    "huber",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "inv_boxcox",
    "inv_boxcox1p",
    "iv",
    "ive",
    "j0",
    "j1",
    "jn",
    "jv",
    "k0",
    "k0e",
    "k1",
    "k1e",
    "kl_div",
    "kn",
    "kv",
    "kve",
    "lambertw",
    "log1p",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "loggamma",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "owens_t",
    "poch",
    "polygamma",
    "pseudo_huber",
    "psi",
    "radian",
    "rel_entr",
    "rgamma",
    "round",
    "shichi",
    "sici",
    "softmax",
    "spence",
    "spherical_in",
    "spherical_jn",
    "wofz",
    "xlog1py",
    "xlogy",
    "y0",
    "y1",
    "yn",
    "yv",
    "zeta",
]  # fmt: skip


# --- softmax and its kin, with SciPy's arguments ---
def softmax(x: Any, axis: Any = None) -> Array:
    """y = eˣ / Σ eˣ over ``axis``, over everything without one: `bprop.softmax` with SciPy's default.

    **Source:** SciPy, ``scipy.special.softmax``.

    >>> import bprop
    >>> bprop.scipy.special.softmax(bprop.asarray([1000.0, 1000.0]))
    Array([0.5, 0.5])
    """
    return log_sum_exp.softmax(x, axis=axis)


def log_softmax(x: Any, axis: Any = None) -> Array:
    """y = x - logsumexp(x) over ``axis``, over everything without one: `bprop.log_softmax` with SciPy's default.

    **Source:** SciPy, ``scipy.special.log_softmax``.

    >>> import bprop
    >>> bprop.scipy.special.log_softmax(bprop.asarray([0.0, -1000.0]))
    Array([    0., -1000.])
    """
    return log_sum_exp.log_softmax(x, axis=axis)


@overload
def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: Literal[False] = False
) -> Array: ...
@overload
def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, *, return_sign: Literal[True]
) -> tuple[Array, Array]: ...
def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """y = log Σ b eᵃ over ``axis`` (an integer, a tuple, or everything); with ``return_sign`` log \\|Σ b eᵃ\\| and its sign.

    ``b``: factors that broadcast with ``a``; 1 without them, and then y is `bprop.logsumexp`. Without ``return_sign`` a negative
    sum gives NaN. ∂y/∂a = b eᵃ⁻ʸ, ∂y/∂b = eᵃ⁻ʸ, both with the sign of the sum. Entries with b = 0 do not count in y, whatever
    a is there; ∂y/∂b is the same formula, with e to the power of a number just below the overflow at most.

    **Source:** SciPy, ``scipy.special.logsumexp``; Blanchard, Higham & Higham (2021).

    >>> import bprop
    >>> bprop.scipy.special.logsumexp(bprop.asarray([1000.0, 1000.0]), b=bprop.asarray([2.0, -1.0]))
    Array(1000.)
    >>> bprop.scipy.special.logsumexp(bprop.asarray([0.0, 1.0]), b=bprop.asarray([1.0, -1.0]), return_sign=True)
    (Array(0.54132485), Array(-1.))
    """
    a, signed = array("logsumexp", a), numpy_flag("logsumexp", "return_sign", return_sign)
    if b is None:
        y = log_sum_exp.logsumexp(a, axis=axis, keepdims=keepdims)
        return (y, where(y == y, where(y == -float("inf"), 0.0, 1.0), y)) if signed else y
    b = array("logsumexp", b)
    a, b = broadcast_arrays(a, b)
    zero = b == 0
    axes = normalise_axes("logsumexp", axis, a.shape)
    if not a.size:
        raise ArgumentError(f"logsumexp: the sum of nothing has no sign; shape {a.shape} with factors b is empty")
    top = stop_gradient(max(where(zero, -float("inf"), a), axis=axes, keepdims=True))
    shift = where((top == top) & (abs(top) < float("inf")), top, 0)
    a = where(zero.all(axis=axes, keepdims=True), stop_gradient(a), a)  # then y = -inf for every a
    z = where(a == float("inf"), 0, a - shift)
    # by a factor of 0 there is a slope, so its power has to be finite: b eᶻ is 0
    limit = float(np.log(np.finfo(z.dtype).max)) - 1
    z = where(zero & ((a == float("inf")) | ~(z < limit)), limit, z)
    total = sum(b * exp(z), axis=axes, keepdims=True)
    size = abs(total) if signed else total
    y = where(top == float("inf"), top, log(size) + shift)
    sign = (total > 0).astype(y.dtype) - (total < 0).astype(y.dtype)
    if not keepdims:
        y, sign = (value.reshape([n for i, n in enumerate(value.shape) if i not in axes]) for value in (y, sign))
    return (y, sign) if signed else y


__dir__ = exported(__name__)
