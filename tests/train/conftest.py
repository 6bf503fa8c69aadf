"""What the tests of training share."""

import pytest

from support.training import draw_nothing


@pytest.fixture
def no_picture(monkeypatch):
    draw_nothing(monkeypatch)
