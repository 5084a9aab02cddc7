"""Work that waits for a thread: of each lane the newest alone."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Thread

Work = Callable[[], None]

MOST_LANES = 64


class Mailbox:
    """One thread that works, lane after lane, in the order in which they began to wait."""

    def __init__(self, name: str) -> None:
        self._waiting: dict[str, Work] = {}
        self._something = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name=f"backquery-{name}", daemon=True)
        self._thread.start()

    def put(self, lane: str, work: Work) -> bool:
        """Let something wait, in the place of what its lane had waiting; False where too many lanes wait."""
        with self._something:
            if len(self._waiting) >= MOST_LANES and lane not in self._waiting:
                return False
            # In a dictionary the newer work keeps the place of the older: a busy lane is not put off.
            self._waiting[lane] = work
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
                work = self._waiting.pop(next(iter(self._waiting)))
            work()
