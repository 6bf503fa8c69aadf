"""What the tests of training share."""

import pytest


@pytest.fixture
def no_picture(monkeypatch):
    """A picture of the curves takes longer than these trainings."""
    monkeypatch.setattr("bprop.train.run.draw", lambda *arguments: None)
