"""Libraries that compute by the Array API standard run on our arrays: SciPy, scikit-learn and array-api-extra.

SciPy and scikit-learn look for arrays' namespaces only where the environment says so before they are imported, so each test is
a process of its own. Planted: no `bprop.special` (SciPy makes NumPy arrays of values under a transform).
"""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop

X = np.array([0.7, -1.2, 0.4, 2.0, 0.1, -0.3])


def run(code):
    """Run lines of code where SciPy and scikit-learn look for namespaces of arrays."""
    head = (
        "import numpy as np, bprop\nfrom numpy.testing import assert_allclose\n"
        "def differs(f, x):\n"
        "    gradient, h, d = np.asarray(bprop.grad(lambda x: bprop.sum(f(x)))(x)), 1e-6, np.cos(np.arange(x.size)).reshape(x.shape)\n"
        "    slope = (np.sum(np.asarray(f(x + h * d))) - np.sum(np.asarray(f(x - h * d)))) / (2 * h)\n"
        "    assert_allclose(np.sum(gradient * d), slope, rtol=1e-5, atol=1e-7)\n"
        "def refused(f, x, *words):\n"
        "    try:\n"
        "        f(x)\n"
        "    except bprop.BpropError as error:\n"
        "        assert all(word in str(error) for word in words), error\n"
        "    else:\n"
        "        raise AssertionError('not refused')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", head + code],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_scipys_functions_of_arrays_of_the_standard():
    run("""
from scipy import fft, signal, special, stats
x, y = np.array([0.7, 0.2, 0.4, 1.6]), np.array([0.3, 0.9, 0.5, 1.1])
for name in ("erf", "erfc", "gammaln", "ndtr", "log_ndtr", "expit", "logit", "i0", "digamma", "entr", "expm1", "j0", "exp1"):
    f, z = getattr(special, name), x / 2
    y_plain = f(bprop.asarray(z))
    assert type(y_plain) is bprop.Array
    assert_allclose(y_plain, f(z), rtol=1e-12)
    differs(f, z)
for f in (special.xlogy, special.kl_div, special.betaln, special.xlog1py):
    assert_allclose(f(bprop.asarray(x), bprop.asarray(y)), f(x, y), rtol=1e-12)
    differs(lambda x: f(x, y if type(x) is np.ndarray else bprop.asarray(y)), x)
for f in (special.softmax, lambda x: abs(fft.fft(x)), lambda x: fft.irfft(fft.rfft(x) ** 2), stats.skew, stats.gmean):
    assert_allclose(f(bprop.asarray(x)), f(x), rtol=1e-12)
    differs(lambda x: f(x) * 1.0, x)
differs(lambda x: signal.fftconvolve(x, y if type(x) is np.ndarray else bprop.asarray(y)), x)
for name in ("logsumexp", "log_softmax"):
    words = f"scipy.special.{name} assigns to entries", f"write bprop.scipy.special.{name}"
    refused(getattr(special, name), bprop.asarray(x), *words)
refused(bprop.grad(lambda x: bprop.sum(signal.convolve(x, bprop.asarray(y)))), x, "write bprop.scipy.signal.convolve")
""")


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed")
def test_scikit_learn():
    run("""
import sklearn
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.metrics import accuracy_score, mean_squared_error, pairwise
from sklearn.preprocessing import KernelCenterer, StandardScaler
sklearn.set_config(array_api_dispatch=True)
X = np.random.default_rng(0).normal(size=(12, 4))
for f in (
    lambda X: abs(PCA(2, svd_solver="full").fit_transform(X)),
    lambda X: abs(PCA(2, svd_solver="full", whiten=True).fit_transform(X)),
    lambda X: PCA(2, svd_solver="full").fit(X).inverse_transform(PCA(2, svd_solver="full").fit_transform(X)) ** 2,
    lambda X: KernelCenterer().fit_transform(X @ X.T) ** 2,
    lambda X: RidgeCV().fit(X, X[:, 0] ** 2).predict(X),
    lambda X: pairwise.rbf_kernel(X, X[:3]),
    lambda X: pairwise.euclidean_distances(X, X[:3] + 1.0),
    lambda X: pairwise.chi2_kernel(abs(X), abs(X[:3]) + 1.0),
):
    assert_allclose(f(bprop.asarray(X)), f(X), rtol=1e-8, atol=1e-10)
    differs(f, X)
assert_allclose(mean_squared_error(bprop.asarray(X), bprop.asarray(X + 1)), 1.0)
t = bprop.arange(4)
assert accuracy_score(t, t) == 1.0
refused(StandardScaler().fit_transform, bprop.asarray(X), "assigns to entries of arrays", "give it NumPy arrays")
sklearn.set_config(array_api_dispatch=False)
assert_allclose(StandardScaler().fit_transform(bprop.asarray(X)), StandardScaler().fit_transform(X))
""")


def test_array_api_extra():
    extra = pytest.importorskip("array_api_extra")
    for f in (
        lambda x: extra.atleast_nd(x, ndim=3),
        lambda x: extra.cov(x.reshape(2, 3)),
        lambda x: extra.kron(x, x),
        lambda x: extra.nan_to_num(x),
        extra.sinc,
        lambda x: extra.partition(x, 2),
    ):
        expected = f(X)
        assert_allclose(f(bprop.asarray(X)), expected, rtol=1e-12)
        assert_allclose(bprop.compile(f)(X), expected, rtol=1e-12)
        assert bprop.grad(lambda x, f=f: bprop.sum(f(x)))(X).shape == X.shape
    with pytest.raises(bprop.ArgumentError, match=r"array_api_extra.* assigns to entries of arrays"):
        extra.at(bprop.asarray(X))[0].set(1.0)
