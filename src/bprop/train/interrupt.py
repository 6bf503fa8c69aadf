"""Ctrl-C, the SIGTERM of a job scheduler and the SIGHUP of a terminal that closes: the first asks for an end after the step at hand, the second ends at once."""

import os
import signal
import threading
from types import FrameType
from typing import Any

_DEFAULTS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    **({signal.SIGHUP: signal.SIG_DFL} if hasattr(signal, "SIGHUP") else {}),
}


class Interrupted(KeyboardInterrupt):
    """A training was ended by the signal ``number``; its message says what was saved and how to go on."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class Interruption:
    """Inside its ``with`` block ``asked`` is the signal that came, or 0; a second one raises `KeyboardInterrupt` at once.

    It stands aside where signals are not Python's own: in other threads, and where the user has set a handler, or has had
    one ignored. A signal that came too late for the training to heed it is passed on at the end of the block.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._heeded = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number, default in _DEFAULTS.items():
                if signal.getsignal(number) is default:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        if self.asked and not self._heeded and kind is None:
            signal.raise_signal(self.asked)

    def notice(self) -> str:
        """Return what is to be known about Ctrl-C here, or nothing: nohup and jobs in the background have it ignored."""
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            return ""
        ends = signal.SIGTERM in self._before
        return "SIGINT is ignored by this process, so Ctrl-C does nothing" + (
            f": to end the training and save it, send SIGTERM (kill {os.getpid()})" if ends else ""
        )

    def heed(self, message: str) -> Interrupted:
        """Return the exception that ends the training."""
        self._heeded = True
        return Interrupted(message, self.asked)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self._heeded = True
            raise Interrupted("interrupted twice: the training ended at once", number)
        self.asked = number
