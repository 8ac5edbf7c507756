"""For tests: a registry in memory, which passes the contract suite, and crashes on demand."""

from __future__ import annotations

import copy
import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cdc.errors import RegistryError


class MemoryRegistry:
    """A schema registry that lives as long as the test."""

    def __init__(self) -> None:
        self._schemas: list[Any] = []
        self._ids: dict[str, int] = {}
        self._subjects: dict[str, list[int]] = {}

    def register(self, subject: str, schema: Mapping[str, Any] | Sequence[Any] | str) -> int:
        text = json.dumps(schema, sort_keys=True)  # the order of names means nothing
        schema_id = self._ids.get(text)
        if schema_id is None:
            self._schemas.append(copy.deepcopy(schema))
            schema_id = self._ids[text] = len(self._schemas)
        versions = self._subjects.setdefault(subject, [])
        if schema_id not in versions:
            versions.append(schema_id)
        return schema_id

    def schema(self, schema_id: int) -> Any:
        if not 1 <= schema_id <= len(self._schemas):
            raise RegistryError(
                f"the registry has no schema with id {schema_id}",
                hint="is this the registry that the record's writer used?",
            )
        return copy.deepcopy(self._schemas[schema_id - 1])

    def subjects(self) -> Sequence[str]:
        return sorted(self._subjects)

    def versions(self, subject: str) -> Sequence[int]:
        return tuple(self._subjects.get(subject, ()))

    def close(self) -> None:
        """Nothing is held open."""


_LOCAL = frozenset({"cursor", "fetchall", "fetchone", "fileno", "memberid", "setblocking"})
"""Calls of connections that don't go outside."""
_LOOKS = frozenset({"poll", "consume"})
"""Calls that come again and again while there is nothing."""


class Crash:
    """A seam (`ports.Seam`) that kills the process right after its n-th call to the outside: what
    that call did has been done, and nobody here knows of it.

    Calls are counted over all connections and threads, from 1; those of a cursor that a call gave
    as well, but not what only looks at an answer that has come."""

    def __init__(self, at: int) -> None:
        self._left = at
        self._turn = threading.Lock()

    def __call__(self, connection: Any) -> Any:
        return _Counted(connection, self)

    def called(self) -> None:
        """One call more."""
        with self._turn:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()  # the signal comes when this thread waits, at the latest


class _Counted:
    """A connection, each call of which is told."""

    def __init__(self, connection: Any, crash: Crash) -> None:
        self.__dict__.update(_connection=connection, _crash=crash)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        if not callable(found) or (name in _LOCAL and name != "cursor"):
            return found

        def call(*values: Any, **named: Any) -> Any:
            given = found(*values, **named)
            if name not in _LOCAL and not (name in _LOOKS and not given):
                self._crash.called()
            return _Counted(given, self._crash) if hasattr(given, "execute") else given

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._connection, name, value)

    def __bool__(self) -> bool:
        return bool(self._connection)

    def __len__(self) -> int:
        return len(self._connection)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._connection)

    def __enter__(self) -> _Counted:
        self._connection.__enter__()
        return self

    def __exit__(self, *reason: Any) -> Any:
        return self._connection.__exit__(*reason)
