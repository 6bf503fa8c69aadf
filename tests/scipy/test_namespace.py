"""`bprop.scipy` is loaded on first use, and is what errors name where SciPy's own function cannot be differentiated."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize
import scipy.signal
import scipy.special
import scipy.stats

import bprop

X = np.array([1.0, 2.0])


def test_it_is_loaded_on_first_use():
    code = (
        "import sys, bprop; assert 'bprop.scipy' not in sys.modules; bprop.scipy.stats.norm.logpdf(1.0); "
        "assert 'bprop.scipy' in sys.modules; assert 'scipy' not in sys.modules; bprop.missing"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert "module 'bprop' has no attribute 'missing'" in result.stderr


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (lambda x: scipy.stats.norm.logpdf(x, 0.5, 2.0), "stats.norm.logpdf"),
        (lambda x: scipy.stats.norm(loc=x).logpdf(1.0), "stats.norm"),
        (lambda x: scipy.stats.multivariate_normal(x).logpdf(np.ones(2)), "stats.multivariate_normal"),
        (lambda x: scipy.stats.gamma.cdf(1.0, 2.0, scale=x), "stats.gamma.cdf"),
        (lambda x: scipy.stats.poisson.logpmf(2, x), "stats.poisson.logpmf"),
        (lambda x: scipy.stats.multivariate_normal.logpdf(x, np.zeros(2)), "stats.multivariate_normal.logpdf"),
        (lambda x: scipy.special.multigammaln(x + 1, 2), "special.multigammaln"),
        (lambda x: scipy.special.logsumexp(x), "special.logsumexp"),
        (lambda x: scipy.linalg.solve(np.eye(2), x), "linalg.solve"),
        (lambda x: scipy.linalg.expm(x * np.eye(2)), "linalg.expm"),
        (lambda x: scipy.signal.convolve(x, np.ones(2)), "signal.convolve"),
        (lambda x: scipy.signal.lfilter([1.0], [1.0, 0.5], x), "signal.lfilter"),
        (lambda x: scipy.integrate.simpson(x), "integrate.simpson"),
    ],
)
def test_an_error_names_the_function_with_a_derivative(f, name):
    with pytest.raises(bprop.BpropError, match=rf"scipy\.{name}.*write bprop\.scipy\.{name}") as caught:
        bprop.jacobian(f)(X)
    assert "test_namespace.py" in caught.value.line


def test_the_method_of_a_distribution_is_named_with_its_arguments():
    with pytest.raises(bprop.BpropError, match=r"write bprop\.scipy\.stats\.gamma\.sf\(x, a, loc=0\.0, scale=1\.0\)"):
        bprop.grad(lambda x: scipy.stats.gamma.sf(x, 2.0))(1.0)


def test_every_name_is_scipys():
    for module in ("special", "stats", "linalg", "signal", "integrate", "optimize"):
        for name in getattr(bprop.scipy, module).__all__:
            assert hasattr(getattr(scipy, module), name), (module, name)
