"""Signals that end a training: Ctrl-C, the SIGTERM of a job scheduler, the SIGHUP of a terminal that closes.

The first signal asks the training to end after the step that is running, the second one ends it at once.
"""

import os
import signal
import threading
from types import FrameType
from typing import Any

_DEFAULT_HANDLERS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    **({signal.SIGHUP: signal.SIG_DFL} if hasattr(signal, "SIGHUP") else {}),
}


class Interrupted(KeyboardInterrupt):
    """A training was ended by the signal ``number``; its message says what was saved and how to go on."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class SignalGuard:
    """Handles signals inside its ``with`` block: the first is recorded, the second raises `Interrupted` at once.

    Handlers are installed only in the main thread, and only where Python's defaults are in place: a handler of the user's
    stays, and so does a signal that is ignored. A signal that came too late for the training to react to it is raised a second
    time at the end of the block.

    Attributes
    ----------
    requested
        The number of the signal that came, or 0.
    """

    def __init__(self) -> None:
        self.requested = 0
        self._raised = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "SignalGuard":
        if threading.current_thread() is threading.main_thread():
            for number, default in _DEFAULT_HANDLERS.items():
                if signal.getsignal(number) is default:
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
        if self.requested and not self._raised and kind is None:
            signal.raise_signal(self.requested)

    def notice(self) -> str:
        """Return what the user should know if Ctrl-C is ignored, as with nohup and in background jobs; else nothing."""
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            return ""
        ends = signal.SIGTERM in self._previous
        return "SIGINT is ignored by this process, so Ctrl-C does nothing" + (
            f": to end the training and save it, send SIGTERM (kill {os.getpid()})" if ends else ""
        )

    def exception(self, message: str) -> Interrupted:
        """Return the exception that ends the training."""
        self._raised = True
        return Interrupted(message, self.requested)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            self._raised = True
            raise Interrupted("interrupted twice: the training ended at once", number)
        self.requested = number
