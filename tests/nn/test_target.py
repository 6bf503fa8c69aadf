"""Modules compiled for lesser processors than this one, against eager."""

from support.module_example import check_compiled


def test_compiled_is_eager(example, target):
    check_compiled(example)
