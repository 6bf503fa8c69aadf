"""What native code and its runtime agree on: the status codes of a program (0: success), and symbols."""

INDEX_ERROR, POWER_ERROR, CALL_ERROR, NOT_FINITE, MESSAGE = 1, 2, 3, 4, 5
"""``NOT_FINITE``: of a guard. From ``MESSAGE`` on: the number, among `called_back`, of a loop that passed its limit."""
POLL_SIGNALS = "poll_signals"
"""The symbol of the pointer to the function by which Python polls for signals. It returns ``CALL_ERROR`` where a handler raised."""
BARRIER = "bprop_barrier"
"""The symbol under which programs find the barrier of the thread pool."""
