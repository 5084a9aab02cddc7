"""Requests that wait for a thread: of each lane the newest alone."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Thread

from backquery.studio.protocol import Request

MOST_LANES = 64


class Mailbox:
    """One thread that answers requests, lane after lane in the order in which they began to wait."""

    def __init__(self, name: str, answer: Callable[[Request], None]) -> None:
        self._answer = answer
        self._waiting: dict[str, Request] = {}
        self._something = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name=f"backquery-{name}", daemon=True)
        self._thread.start()

    def put(self, request: Request) -> bool:
        """Let a request wait, in the place of an older one of its lane; False where too many lanes wait."""
        with self._something:
            if len(self._waiting) >= MOST_LANES and request.lane not in self._waiting:
                return False
            self._waiting[request.lane] = request
            self._something.notify()
        return True

    def close(self) -> None:
        """Forget what waits; the thread ends after what it is at."""
        with self._something:
            self._closed = True
            self._waiting.clear()
            self._something.notify()

    def _run(self) -> None:
        while True:
            with self._something:
                while not self._waiting and not self._closed:
                    self._something.wait()
                if self._closed:
                    return
                lane = next(iter(self._waiting))
                request = self._waiting.pop(lane)
            self._answer(request)
