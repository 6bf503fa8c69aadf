"""What several test files use: `pythonpath` in pyproject.toml puts the folder above on the path, as `support`."""

import pytest

# so that their assertions say what was compared, as those of tests do
pytest.register_assert_rewrite("support.agreement", "support.comparison", "support.module_example")
