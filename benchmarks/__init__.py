"""Measurements; nothing here is a test. Run one as ``python -m benchmarks.NAME`` on an otherwise idle machine."""
