"""What the tests of the compiler share: compiled against eager (support/agreement.py), and a count of the keys."""

import pytest

from bprop.compile import jit as pipeline
from support import agreement


@pytest.fixture(scope="session")
def distance():
    return agreement.distance


@pytest.fixture(scope="session")
def agree():
    return agreement.agree


@pytest.fixture
def traces(monkeypatch):
    """Count how often a function is traced."""
    made = []
    original = pipeline.trace_call
    monkeypatch.setattr(pipeline, "trace_call", lambda *args: made.append(1) or original(*args))
    return made
