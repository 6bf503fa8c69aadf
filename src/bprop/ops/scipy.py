"""The functions of `scipy.special` that bprop has, by SciPy's names: its ufuncs find them here, and `bprop.scipy.special`."""

from ..core.function import SCIPY
from . import (
    bessel,
    elliptic,
    entropy,
    exponential_integral,
    gamma,
    incomplete_gamma,
    log_tail,  # noqa: F401 - of no name in scipy.special; its ops are in the registry
    normal_distribution,
    power_transformation,
)
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

BY_MODULE = {
    gamma: "gamma loggamma rgamma gammasgn poch beta betaln binom comb factorial multigammaln zeta",
    incomplete_gamma: "gammainc gammaincc gammaincinv gammainccinv betainc betaincc betaincinv betainccinv",
    bessel: "jv yv iv ive kv kve j0 j1 y0 y1 i0 i0e i1 i1e k0 k0e k1 k1e airy spherical_jn spherical_in",
    normal_distribution: "erfcx erfi erfcinv dawsn ndtr ndtri log_ndtr owens_t wofz",
    exponential_integral: "exp1 expi expn sici shichi exprel spence lambertw",
    elliptic: "ellipk ellipe ellipkm1",
    entropy: "entr rel_entr kl_div xlog1py huber pseudo_huber",
    power_transformation: "boxcox boxcox1p inv_boxcox inv_boxcox1p cosm1 exp10 radian",
}
for module, names in BY_MODULE.items():
    SCIPY.update((name, getattr(module, name)) for name in names.split())
SCIPY.update(jn=bessel.jv, yn=bessel.yv, kn=bessel.kv)
# the ufuncs behind a function that is written in Python
SCIPY.update(_zeta=gamma.zeta, _riemann_zeta=gamma.zeta)
