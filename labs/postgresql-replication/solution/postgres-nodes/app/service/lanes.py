"""Connections to one host, each with a thread of its own: a host that hangs holds up nobody who can wait no more.

Knows nothing of orders, and not which host is what.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import psycopg
from service.settings import settings

T = TypeVar("T")
Line = psycopg.Connection[Any]


class TooLate(Exception):
    """No answer in time. What was asked for may still happen."""


class _Job(Generic[T]):
    def __init__(self, work: Callable[[Line], T]) -> None:
        self.work = work
        self.done = threading.Event()
        self.given_up = False
        self.lane: _Lane | None = None
        self.result: T | None = None
        self.error: Exception | None = None


class Lanes:
    """At most `size` connections to one host; whoever finds all of them busy waits in a queue."""

    def __init__(self, host: str, port: int, size: int) -> None:
        self._address, self._size = (host, port), size
        self._jobs: queue.SimpleQueue[_Job[Any]] = queue.SimpleQueue()
        self._turn = threading.Lock()
        self._lanes: list[_Lane] = []
        self._unserved = 0  # jobs that wait or are under way

    def ask(self, work: Callable[[Line], T], within: float, *, hang_up: bool) -> T:
        """What `work` gives, or `TooLate`. With `hang_up` a late connection is closed, else it is left alone."""
        job = _Job(work)
        with self._turn:
            self._unserved += 1
            if self._unserved > len(self._lanes) < self._size:
                self._lanes.append(_Lane(self, self._address))
        self._jobs.put(job)
        if not job.done.wait(within):
            job.given_up = True
            if hang_up and job.lane is not None:
                job.lane.hang_up()
            raise TooLate
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value]

    def hang_up(self) -> None:
        """Close every connection, also under those who wait for an answer on it."""
        for lane in tuple(self._lanes):
            lane.hang_up()

    def next_job(self) -> _Job[Any]:
        return self._jobs.get()

    def served(self) -> None:
        with self._turn:
            self._unserved -= 1


class _Lane:
    """One connection and the thread that works on it."""

    def __init__(self, lanes: Lanes, address: tuple[str, int]) -> None:
        self._lanes, (self._host, self._port) = lanes, address
        self._line: Line | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            job = self._lanes.next_job()
            if not job.given_up:
                job.lane = self
                self._work(job)
            self._lanes.served()
            job.done.set()

    def _work(self, job: _Job[Any]) -> None:
        try:
            try:
                was_open = self._line is not None
                job.result = job.work(self._opened())
            except psycopg.OperationalError:
                self._close()
                if not was_open or job.given_up:
                    raise
                job.result = job.work(self._opened())  # the connection was from before a restart
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            job.error = error
            if isinstance(error, psycopg.OperationalError):
                self._close()

    def _opened(self) -> Line:
        if self._line is None:
            self._line = psycopg.connect(
                host=self._host,
                port=self._port,
                dbname=settings.database,
                user=settings.user,
                password=settings.password,
                autocommit=True,
                connect_timeout=2,
                tcp_user_timeout=5000,
            )
        return self._line

    def _close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            with contextlib.suppress(psycopg.Error):
                line.close()

    def hang_up(self) -> None:
        """Wake the thread up with the end of its connection; closing it is the thread's own business."""
        line = self._line
        if line is not None:
            with (
                contextlib.suppress(psycopg.Error, OSError),
                socket.socket(fileno=os.dup(line.fileno())) as wire,
            ):
                wire.shutdown(socket.SHUT_RDWR)
