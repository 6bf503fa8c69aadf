"""A new thread starts at plain evaluation: the current interpreter is a context variable.

Planted: the current interpreter in a module global (the thread records into the main thread's gradient).
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.testing import assert_array_equal

import bprop
from bprop.core.interpreter import EVALUATE, current


def in_thread(f):
    result = []
    thread = threading.Thread(target=lambda: result.append(f()))
    thread.start()
    thread.join()
    return result[0]


def test_a_thread_started_under_a_transform_evaluates():
    def f(x):
        assert current() is not EVALUATE
        assert in_thread(current) is EVALUATE
        constant = in_thread(lambda: bprop.exp(bprop.zeros(2)))
        assert type(constant) is bprop.Array
        return bprop.sum(x * constant)

    assert_array_equal(bprop.grad(f)(np.array([1.0, 2.0])), [1, 1])


def test_a_value_taken_to_another_thread_is_refused():
    def f(x):
        def use():
            try:
                return bprop.exp(x)
            except bprop.EscapedError as error:
                return error

        assert isinstance(in_thread(use), bprop.EscapedError)
        return bprop.sum(x)

    bprop.grad(f)(np.ones(2))


def test_gradients_in_many_threads_at_once():
    def f(x):
        for _ in range(20):
            x = bprop.tanh(x) + 0.1 * x
        return bprop.sum(x)

    xs = [np.full(3, 0.1 * k) for k in range(16)]
    expected = [np.asarray(bprop.grad(f)(x)) for x in xs]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(bprop.grad(f), xs), expected, strict=True):
            assert_array_equal(found, wanted)


def test_numpy_warnings_settings_are_the_users():
    with np.errstate(all="raise"):
        assert np.isneginf(bprop.log(bprop.zeros(1)).item())
        assert np.geterr()["divide"] == "raise"
        in_thread(lambda: bprop.log(bprop.zeros(1)))
