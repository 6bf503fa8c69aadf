"""What the tests of modules share: each runs over all examples."""

import pytest

from support.module_example import EXAMPLES


@pytest.fixture(params=EXAMPLES)
def example(request):
    return request.param
