"""A plugin of pytest: properties with fresh examples, in an order drawn from the seed, as far as the time goes."""

import random
import time

import pytest
from hypothesis import settings

from support.profile import FRESH


def pytest_addoption(parser):
    parser.addoption("--seconds", type=float, default=float("inf"), help="begin no test after so many seconds")


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    settings.load_profile(FRESH)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    random.Random(config.getoption("--hypothesis-seed")).shuffle(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session):
    session.config.end = time.monotonic() + session.config.getoption("--seconds")
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if time.monotonic() > item.config.end:
        pytest.skip("no time is left")
