"""What a program returns instead of 0."""

INDEX_ERROR, POWER_ERROR, CALL_ERROR, MESSAGE = 1, 2, 3, 4
"""From ``MESSAGE`` on: the number, among the kernels that call Python, of a loop that passed its limit."""
