"""What the tests of tables share."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _without_pictures():
    """Draw nothing: pictures take longer than the trainings. The tests of the command see to them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bprop.train.run.draw", lambda *arguments: None)
        patch.setattr("bprop.train.table.fit.draw_influence", lambda *arguments: None)
        yield
