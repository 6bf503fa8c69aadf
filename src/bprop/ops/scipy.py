"""The functions of `scipy.special` that bprop has, by SciPy's names."""

from ..core.function import SCIPY
from .exponential import exp2, expm1, log1p
from .log_sum_exp import log_softmax, logsumexp, softmax
from .power import cbrt
from .rounding import round
from .sigmoidal import log_sigmoid, logit, sigmoid
from .special import digamma, erf, erfc, erfinv, gammaln, polygamma, xlogy

__all__: list[str] = []

SCIPY.update(
    cbrt=cbrt, digamma=digamma, erf=erf, erfc=erfc, erfinv=erfinv, exp2=exp2, expit=sigmoid, expm1=expm1, gammaln=gammaln,
    log1p=log1p, log_expit=log_sigmoid, log_softmax=log_softmax, logit=logit, logsumexp=logsumexp, polygamma=polygamma,
    psi=digamma, round=round, softmax=softmax, xlogy=xlogy,
)  # fmt: skip
