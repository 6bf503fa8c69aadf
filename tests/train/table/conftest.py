"""What the tests of tables share."""

import pytest

from support.training import draw_nothing


@pytest.fixture(scope="module", autouse=True)
def _without_pictures():
    """The tests of the command see to pictures."""
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        yield
