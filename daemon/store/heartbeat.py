"""Keep a lease alive while the work it covers goes on."""

import threading
import time
from collections.abc import Callable
from typing import Self

from daemon.errors import LeaseLostError, StateError

from .leases import Lease, Leases


class Heartbeat:
    """Renews a lease from a thread of its own, from entering the `with` block to leaving it, which joins the thread.

    `lost` is set, and then `on_lost` called from that thread, when the lease is surely gone, or could not be renewed
    for its whole life; the thread then ends. The lease itself stays with the caller, who gives it back.
    """

    def __init__(
        self,
        leases: Leases,
        lease: Lease,
        *,
        lost: threading.Event,
        on_lost: Callable[[], None] | None = None,
        every_s: float = 10.0,
    ) -> None:
        self._leases = leases
        self._lease = lease
        self._every_s = every_s
        self._lost = lost
        self._on_lost = on_lost
        self._stop = threading.Event()
        self._beat_at = time.monotonic()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat {lease.name}", daemon=True)

    @property
    def is_beating(self) -> bool:
        """Whether the lease was renewed, and so the database written, within the lease's life."""
        return time.monotonic() - self._beat_at < self._lease.ttl_s

    def __enter__(self) -> Self:
        self._beat_at = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        missed_s = 0.0
        while not self._stop.wait(self._every_s):
            try:
                self._lease = self._leases.renew(self._lease)
                self._beat_at, missed_s = time.monotonic(), 0.0
            except LeaseLostError:
                self._end()
                return
            except StateError:
                # A locked database may be free again at the next beat. The journal finds out for itself if not.
                missed_s += self._every_s
                if missed_s >= self._lease.ttl_s:
                    self._end()
                    return

    def _end(self) -> None:
        self._lost.set()
        if self._on_lost is not None:
            self._on_lost()
