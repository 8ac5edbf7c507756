"""The connector's lock in the source database: who holds it runs the connector.

A lock of `GET_LOCK` belongs to a session, and needs no privilege. The server frees it when the
session ends: at once if its process dies, after SILENCE_SECONDS_MAX if the process, its machine or
the network falls silent.
"""

from __future__ import annotations

import hashlib
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from cdc.capture.connection import Session
from cdc.capture.source_settings import ServerSettings
from cdc.errors import CdcError, LockLost, SourceError, Unreachable
from cdc.findings import Finding

PING_SECONDS = 1.0
SILENCE_SECONDS_MAX = 3
"""`wait_timeout` of the lock's session, in whole seconds: two pings may fail to come."""
QUEUE_SECONDS = 1
"""How long the server is asked to wait for the lock before `stop` is looked at."""
ANSWER_SECONDS_MAX = 5.0
"""How long the server's answer may take beyond what it was asked to wait."""
NAME_CHARS_MAX = 64
"""What the servers allow."""
NO_LOCKS_HINT = "set source.standby: false; a second instance then ends the first one"
_DIGEST_BYTES = 8


def lock_name(connector: str) -> str:
    """The name of the connector's lock; what is too long is cut and told apart by a digest."""
    name = f"cdc.{connector}"
    if len(name) <= NAME_CHARS_MAX:
        return name
    digest = hashlib.blake2b(connector.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{name[: NAME_CHARS_MAX - len(digest) - 1]}-{digest}"


def inspect_lock(session: Session) -> Iterator[Finding]:
    """Whether the server has such locks."""
    try:
        _one(session, "GET_LOCK(%s, 0)", "cdc check")  # no connector's: its name has no space
    except SourceError as error:
        yield Finding("error", "source.standby", error.message, NO_LOCKS_HINT)


class ConnectorLock:
    """One holding of the lock, or the waiting for it, over a session of its own."""

    def __init__(
        self, settings: ServerSettings, *, on_lost: Callable[[], None] = lambda: None
    ) -> None:
        """`on_lost` is called from another thread, once."""
        self.name = lock_name(settings.name)
        self._settings, self._on_lost = settings, on_lost
        self._session: Session | None = None
        self._turn = threading.Lock()
        """Whose turn it is on the session."""
        self._held_until = 0.0
        """Up to here the server can't have given the lock to another for our silence."""
        self._is_held = False
        self._why_lost = ""

    def queue(self, stop: threading.Event, standby: Callable[[str], None]) -> bool:
        """Wait for the lock; False if `stop` was set before it came.

        `standby` is told again and again who has it. Raises Unreachable when the link is lost,
        SourceError where the server has no such locks."""
        session = self._session = Session(self._settings)
        session.rows(
            "preparing for the connector's lock",
            f"SET SESSION wait_timeout = {SILENCE_SECONDS_MAX}",
        )
        wait_seconds, holder = 0, ""
        while not stop.is_set():
            if self._get(session, wait_seconds):
                return True
            holder = holder or self._holder(session)
            standby(holder)
            wait_seconds = QUEUE_SECONDS
        return False

    def check(self) -> None:
        """LockLost unless the lock is surely held at this moment."""
        if self.is_sure():
            return
        self._why_lost = self._why_lost or (
            f"the server has not answered for {SILENCE_SECONDS_MAX} s, or this process stood"
            " still for as long"
        )
        raise self.lost()

    def is_sure(self) -> bool:
        """Whether `check` would pass."""
        return not self._why_lost and time.monotonic() <= self._held_until

    def is_held(self) -> bool:
        """Whether the server says so, now."""
        with self._turn:
            return self._is_held and self._ask()

    def lost(self) -> LockLost:
        """What the loss of the lock means, as an error."""
        return LockLost(
            f"the lock of connector {self._settings.name} at {self._settings.origin} is lost:"
            f" {self._why_lost}",
            hint="what was not committed is dropped; this instance waits for the lock and goes on"
            " after the last checkpoint",
        )

    def release(self) -> bool:
        """Give the lock back, or up; False if it was held and was lost before."""
        with self._turn:
            was_held, self._is_held, self._held_until = self._is_held, False, 0.0
            session, self._session = self._session, None
            if session is None:
                return True
            try:
                if was_held and not self._why_lost:
                    self._allow(session, ANSWER_SECONDS_MAX)
                    released = _one(session, "RELEASE_LOCK(%s)", self.name)
                    self._why_lost = "" if released else "its session had ended"
            except CdcError as error:
                self._why_lost = error.message
            finally:
                session.close()
        return not (was_held and self._why_lost)

    def close(self) -> None:
        """`release`, for who doesn't care."""
        self.release()

    def _get(self, session: Session, wait_seconds: int) -> bool:
        self._allow(session, wait_seconds + ANSWER_SECONDS_MAX)
        asked_at = time.monotonic()
        try:
            got = _one(session, "GET_LOCK(%s, %s)", self.name, wait_seconds)
        except SourceError as error:  # clusters refuse it
            raise SourceError(
                f"{error.message}; this server can't hold the lock of connector"
                f" {self._settings.name}",
                hint=NO_LOCKS_HINT,
            ) from error
        if got is None:
            raise Unreachable(f"waiting for the lock {self.name}: the server ended it")
        if not got:
            return False
        self._is_held, self._held_until = True, asked_at + SILENCE_SECONDS_MAX
        threading.Thread(target=self._keep, args=(session,), name="lock", daemon=True).start()
        return True

    def _holder(self, session: Session) -> str:
        """Who has the lock, as people read it; the list shows a user's own sessions to it."""
        number = _one(session, "IS_USED_LOCK(%s)", self.name)
        listed = session.rows("looking for the lock's holder", "SHOW PROCESSLIST")
        hosts = [row["Host"] for row in listed if row["Id"] == number]
        from_host = f" from {hosts[0]}" if hosts else ""
        return (
            f"another instance runs connector {self._settings.name}: it holds the lock"
            f" {self.name} (connection {number}{from_host})"
        )

    def _keep(self, session: Session) -> None:
        """Ping until the lock is given back, or lost."""
        connection: Any = session.connection
        poll = select.poll()
        poll.register(connection._sock, select.POLLIN)
        while True:
            with self._turn:
                if not self._is_held:
                    return
                is_held = self._ask()
            if not is_held:
                self._on_lost()
                return
            # What the server says without being asked is that it ends the session.
            poll.poll(PING_SECONDS * 1000)

    def _ask(self) -> bool:
        """Ask the server whether the lock is ours, which also keeps it; in one's turn."""
        session = self._session
        if session is None or self._why_lost:
            return False
        asked_at = time.monotonic()
        try:
            self._allow(session, self._held_until - asked_at)
            if _one(session, "IS_USED_LOCK(%s) = CONNECTION_ID()", self.name):
                self._held_until = asked_at + SILENCE_SECONDS_MAX
                return True
            self._why_lost = "the server gave it to another session"
        except CdcError as error:
            self._why_lost = error.message
        return False

    @staticmethod
    def _allow(session: Session, seconds: float) -> None:
        """How long the next answer may take."""
        connection: Any = session.connection
        connection._read_timeout = max(0.1, seconds)


def _one(session: Session, expression: str, *values: Any) -> Any:
    """The value of an expression about locks."""
    (row,) = session.rows("keeping the connector's lock", f"SELECT {expression} AS v", values)
    return row["v"]
