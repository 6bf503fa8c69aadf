"""Fourier transforms against NumPy and SciPy: every function, norm, odd and even size, cut and filled up, and their adjoints.

Planted: the weights of half a spectrum with 2 at n / 2, `_OPPOSITE` that maps "backward" to itself: each makes tests here fail.
"""

import inspect

import numpy as np
import pytest
import scipy.fft
from numpy.testing import assert_allclose

import bprop

ONE_AXIS = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
SEVERAL = ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"]
OF_REAL = {"rfft", "ihfft", "rfft2", "rfftn"}
NORMS = ["backward", "ortho", "forward"]


def numbers(name, *shape, dtype=np.complex128):
    generator = np.random.default_rng(5)
    x = generator.uniform(-1, 1, shape) + 1j * generator.uniform(-1, 1, shape)
    return (x.real if name in OF_REAL else x).astype(np.float32 if name in OF_REAL and dtype == np.complex64 else dtype) \
        if dtype == np.complex64 else (x.real if name in OF_REAL else x)  # fmt: skip


def agrees(call, x):
    """Compare value and gradient of ``call(module, x)`` with NumPy's value and with differences."""
    expected = call(np.fft, x)
    y = call(bprop.fft, x)
    assert y.dtype == expected.dtype
    assert_allclose(y, expected, rtol=1e-13, atol=1e-14)
    weights = np.random.default_rng(6).uniform(-1, 1, expected.shape) * (
        1 + (0.5j if expected.dtype.kind == "c" else 0)
    )
    f = lambda x: np.sum(np.real(call(np.fft, x) * weights))
    gradient = bprop.grad(f)(x)
    assert gradient.dtype == x.dtype
    # the transforms are linear: a difference with any step is right
    x_dot = numbers("fft", *x.shape) if x.dtype.kind == "c" else numbers("rfft", *x.shape)
    change = np.sum(np.real(call(np.fft, x_dot) * weights))
    assert_allclose(np.sum(np.real(np.conj(np.asarray(gradient)) * x_dot)), change, rtol=1e-12, atol=1e-13)
    assert_allclose(bprop.jvp(f, (x,), (x_dot,))[1], change, rtol=1e-12, atol=1e-13)
    for index in list(np.ndindex(x.shape))[:3]:
        for unit in (1, 1j) if x.dtype.kind == "c" else (1,):
            x_dot = np.zeros_like(x)
            x_dot[index] = unit
            part = np.asarray(gradient)[index].real if unit == 1 else np.asarray(gradient)[index].imag
            assert_allclose(part, np.sum(np.real(call(np.fft, x_dot) * weights)), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ONE_AXIS)
@pytest.mark.parametrize("norm", NORMS)
def test_along_one_axis(name, norm):
    for shape, axis in (((6,), -1), ((5,), 0), ((2, 3), 0), ((4, 3), 1), ((2, 1, 3), -2)):
        for n in (None, 1, 3, 4, 7, 8):
            if n is None and shape[axis] == 1 and name in ("irfft", "hfft"):
                continue  # a result of nothing
            agrees(lambda fft, x: getattr(fft, name)(x, n, axis, norm), numbers(name, *shape))  # noqa: B023


@pytest.mark.parametrize("name", SEVERAL)
def test_along_several_axes(name):
    x = numbers(name, 3, 4, 5)
    for norm in NORMS:
        agrees(lambda fft, x: getattr(fft, name)(x, norm=norm), x)  # noqa: B023
    for s, axes in (((2, 6), (0, 2)), ((4, 3), (-1, 0)), (None, (1, 2)), ((5, -1), (1, 2))):
        agrees(lambda fft, x: getattr(fft, name)(x, s, axes, "ortho"), x)  # noqa: B023


@pytest.mark.parametrize("name", SEVERAL)
def test_an_axis_that_comes_twice(name):
    x = numbers(name, 4, 3)
    calls = [(None, (0, 0)), ((5, 3), (0, 0)), ((-1, 3), (0, 0))]
    calls += [] if name.endswith("2") else [(None, (1, 0, 0)), ((2, 4, -1), (0, 0, 1)), ((2, 3, 5), (0, 1, 0))]
    for s, axes in calls:
        agrees(lambda fft, x: getattr(fft, name)(x, s, axes), x)  # noqa: B023


def test_complex_functions_of_real_numbers_have_real_gradients():
    for name in ("fft", "ifft", "irfft", "hfft", "fftn", "irfftn"):
        agrees(lambda fft, x: getattr(fft, name)(x), numbers("rfft", 3, 4))  # noqa: B023


def test_every_function_of_numpy_is_there_and_takes_its_arguments():
    assert set(bprop.fft.__all__) == set(np.fft.__all__)
    for name in np.fft.__all__:
        theirs = [
            key
            for key in inspect.signature(getattr(np.fft, name)).parameters
            if key not in ("a", "x", "n", "out", "device")
        ]
        assert set(theirs) <= set(inspect.signature(getattr(bprop.fft, name)).parameters), name


def test_shifts_and_frequencies():
    for n in (1, 4, 5):
        assert_allclose(bprop.fft.fftfreq(n, 0.1), np.fft.fftfreq(n, 0.1), rtol=0)
        assert_allclose(bprop.fft.rfftfreq(n, d=0.1), np.fft.rfftfreq(n, d=0.1), rtol=0)
        assert bprop.fft.fftfreq(n, dtype="float32").dtype == np.float32
        for shift in ("fftshift", "ifftshift"):
            agrees(lambda fft, x: getattr(fft, shift)(x), numbers("fft", n, 3))  # noqa: B023
            agrees(lambda fft, x: getattr(fft, shift)(x, axes=1), numbers("rfft", n, 4))  # noqa: B023
            agrees(lambda fft, x: getattr(fft, shift)(x, (0, 1)), numbers("rfft", n, 4))  # noqa: B023
    f = lambda d: np.sum(bprop.fft.fftfreq(5, d) ** 2)
    assert_allclose(bprop.grad(f)(0.5), bprop.numerical(f)(0.5), rtol=1e-8)


def test_single_precision_stays_single():
    x = numbers("rfft", 6).astype(np.float32)
    assert bprop.fft.fft(x).dtype == bprop.fft.rfft(x).dtype == np.complex64
    assert bprop.fft.irfft(bprop.fft.rfft(x)).dtype == np.float32
    assert bprop.fft.rfft(bprop.arange(4)).dtype == np.complex128
    assert bprop.grad(lambda x: np.sum(np.abs(np.fft.fft(x))))(x).dtype == np.float32


def test_parseval_and_the_convolution_theorem():
    x, h = numbers("rfft", 16), numbers("rfft", 16)[::-1].copy()
    energy = lambda x: np.sum(np.abs(np.fft.fft(x, norm="ortho")) ** 2)
    assert_allclose(bprop.grad(energy)(x), 2 * x, rtol=1e-13, atol=1e-14)
    assert_allclose(bprop.hessian(energy)(x), 2 * np.eye(16), rtol=1e-13, atol=1e-13)
    direct = lambda x: np.sum(np.stack([np.sum(x * np.roll(h[::-1], k + 1)) for k in range(16)]) ** 2)
    spectral = lambda x: np.sum(np.fft.irfft(np.fft.rfft(x) * np.fft.rfft(h), 16) ** 2)
    assert_allclose(spectral(x), direct(x), rtol=1e-12)
    assert_allclose(bprop.grad(spectral)(x), bprop.grad(direct)(x), rtol=1e-12, atol=1e-13)


def test_a_batch_is_a_loop():
    x = numbers("rfft", 3, 2, 5)
    for f in (np.fft.rfft, np.fft.fft, lambda x: np.fft.irfft(x, 7, axis=0), np.fft.rfft2):
        assert_allclose(bprop.vmap(f)(x), np.stack([f(row) for row in x]), rtol=1e-12, atol=1e-13)
    f = lambda x: np.sum(np.abs(np.fft.rfft(x, axis=0)) ** 3)
    assert_allclose(bprop.vmap(bprop.grad(f))(x), np.stack([bprop.grad(f)(row) for row in x]), rtol=1e-12, atol=1e-13)


def test_scipys_functions_by_its_own_backend_and_named_without():
    f = lambda x: np.sum(np.abs(scipy.fft.rfft(x, workers=2)) ** 2) + np.sum(scipy.fft.ifftn(x).real)
    x = numbers("rfft", 6)
    with scipy.fft.set_backend(bprop.fft):
        gradient = bprop.grad(f)(x)
        with pytest.raises(Exception, match="dct"):  # SciPy's own error: no backend has it
            bprop.grad(lambda x: np.sum(scipy.fft.dct(x)))(x)
    assert_allclose(
        gradient,
        bprop.numerical(lambda x: np.sum(np.abs(np.fft.rfft(x)) ** 2) + np.fft.ifft(x).real.sum())(x),
        rtol=1e-8,
    )
    with pytest.raises(bprop.TracedValueError, match=r"scipy\.fft\.rfft.*write bprop\.fft\.rfft"):
        bprop.grad(f)(x)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: np.fft.fft(x, norm="other"), bprop.ArgumentError, "fft: norm is 'backward'"),
        (lambda x: np.fft.fft(x, 0), bprop.ArgumentError, "fft: a transform of 0 entries"),
        (lambda x: np.fft.fft(x, axis=1), bprop.ShapeError, "fft: axis 1 is out of range"),
        (lambda x: np.fft.irfft(x[:1]), bprop.ArgumentError, "irfft: a result of 0 entries"),
        (lambda x: np.fft.rfft(x * 1j), bprop.DTypeError, "rfft: x is complex.*use fft"),
        (lambda x: np.fft.ihfft(x * 1j), bprop.DTypeError, "ihfft: x is complex"),
        (lambda x: np.fft.fftn(x, (3, 3), (0,)), bprop.ShapeError, "fftn: s has 2 sizes for 1 axes"),
        (lambda x: np.fft.fft(x, 2.5), bprop.ArgumentError, "n must be an integer"),
        (lambda x: bprop.fft.fftfreq(0), bprop.ArgumentError, "at least 1"),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    for run in (call, bprop.trace(call)):
        with pytest.raises(error, match=words):
            run(bprop.asarray(numbers("rfft", 4)))
