"""What several test files use: `pythonpath` in pyproject.toml puts the folder above on the path, as `support`."""
