"""What a program returns instead of 0."""

INDEX_ERROR, POWER_ERROR, CALL_ERROR, NOT_FINITE, MESSAGE = 1, 2, 3, 4, 5
"""``NOT_FINITE``: of a guard. From ``MESSAGE`` on: the number, among `called_back`, of a loop that passed its limit."""
LOOK = "look"
"""The pointer to the function with which Python looks for signals; it returns ``CALL_ERROR`` where a handler raised."""
