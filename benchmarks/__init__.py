"""Measurements; nothing here is a test. ``python -m benchmarks`` compares training steps with those of other libraries.

The rest is run as ``python -m benchmarks.NAME``: ``gradient_cost``, ``memory``, ``compile_memory``, ``overhead``, ``kernel``. What they mean is in
``benchmarks/README.md``. Run them on an otherwise idle machine.
"""
