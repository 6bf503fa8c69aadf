"""What native code and its runtime agree on: what a program returns instead of 0, and symbols."""

INDEX_ERROR, POWER_ERROR, CALL_ERROR, NOT_FINITE, MESSAGE = 1, 2, 3, 4, 5
"""``NOT_FINITE``: of a guard. From ``MESSAGE`` on: the number, among `called_back`, of a loop that passed its limit."""
POLL_SIGNALS = "poll_signals"
"""The pointer to the function with which Python looks for signals; it returns ``CALL_ERROR`` where a handler raised."""
BARRIER = "bprop_barrier"
"""The symbol under which programs find the barrier of the thread pool."""
