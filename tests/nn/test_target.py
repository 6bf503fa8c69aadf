"""Modules compiled for lesser processors than this one, against eager."""

import importlib.util
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("nn_registry", Path(__file__).with_name("test_registry.py"))
registry = importlib.util.module_from_spec(spec)
spec.loader.exec_module(registry)


def test_compiled_is_eager(example, target):
    if target == "x86-64" and len(example) % 5:
        pytest.skip("not in the sample")
    registry.test_compiled_is_eager(example)
