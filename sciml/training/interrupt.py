"""Stopping in good order."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class TrainingInterrupted(SystemExit):
    """Training was asked to stop (Ctrl-C, SIGTERM), has finished its step and saved its state.

    A ``SystemExit``, so that a script ends there, without a traceback and with the exit status of the signal, instead
    of going on with half-trained weights; whoever wants to go on catches it.

    Attributes:
        message: how to resume.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(128 + number)
        self.message = message


class StopSignals:
    """While entered, the first SIGINT or SIGTERM is only noted; a second one acts as usual.

    Args:
        active: False leaves the signals alone, as does any thread but the main one, which alone may handle them.
    """

    def __init__(self, active: bool = True) -> None:
        self.received = 0
        self._active = active and threading.current_thread() is threading.main_thread()
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if self._active:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
