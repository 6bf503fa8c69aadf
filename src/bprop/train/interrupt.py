"""Ctrl-C: the first asks for an end after the step at hand, the second ends at once."""

import signal
import threading
from types import FrameType
from typing import Any


class Interruption:
    """Inside its ``with`` block ``asked`` becomes true on Ctrl-C; a second one raises `KeyboardInterrupt` there and then.

    It stands aside where signals are not Python's own: in other threads, and where the user has set a handler.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> "Interruption":
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
