"""How many steps one native call makes. Between two calls Python reports, saves and handles Ctrl-C."""

CHUNK_SECONDS = 0.05
"""Seconds that a native call of several steps should take."""
_MAX_GROWTH = 8


class ChunkSizer:
    """Measures steps and says how many fit into `CHUNK_SECONDS`: one at first, then up to eight times as many each time.

    Attributes
    ----------
    max_steps
        The largest number of steps for the next call.
    """

    def __init__(self) -> None:
        self.max_steps = 1
        self._step_seconds = 0.0

    def record_duration(self, steps: int, seconds: float) -> None:
        """Record that ``steps`` steps took ``seconds``, and adapt `max_steps`."""
        self._step_seconds = seconds / steps
        limit = self.max_steps * _MAX_GROWTH
        fitting = CHUNK_SECONDS / self._step_seconds if self._step_seconds else limit
        self.max_steps = max(1, min(int(fitting), limit))

    def steps_within(self, seconds: float) -> int:
        """Return how many steps, at least one, end within ``seconds``."""
        if seconds >= CHUNK_SECONDS or not self._step_seconds:
            return self.max_steps
        return max(1, int(seconds / self._step_seconds))
