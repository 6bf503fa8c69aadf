"""How many steps one native call does: Python shows, saves and hears Ctrl-C in between."""

STRETCH = 0.05
"""Seconds that a native call of several steps should take."""
_GROWTH = 8


class Pace:
    """Measures steps, and says how many fit in about `STRETCH`: one at first, and then more and more."""

    def __init__(self) -> None:
        self.most = 1
        self._seconds = 0.0

    def took(self, steps: int, seconds: float) -> None:
        """Note how long so many steps took."""
        self._seconds = seconds / steps
        wanted = STRETCH / self._seconds if self._seconds else self.most * _GROWTH
        self.most = max(1, min(int(wanted), self.most * _GROWTH))

    def within(self, seconds: float) -> int:
        """Return how many steps, at least one, are done in so long a time."""
        return self.most if seconds >= STRETCH or not self._seconds else max(1, int(seconds / self._seconds))
