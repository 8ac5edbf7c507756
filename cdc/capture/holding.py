"""Events that wait until it is decided whether they count, bounded in memory (invariant 7)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO

from cdc.errors import SourceError

MEMORY_BYTES_MAX = 32 << 20
"""Of all held events; what is beyond lies in temporary files."""
FILE_BYTES_MAX = 64 << 30
"""Of all temporary files."""


class Holds:
    """All holds of one reading, with what they take together."""

    def __init__(self) -> None:
        self.memory_bytes = self.file_bytes = 0

    def open(self) -> Hold:
        return Hold(self)


class Hold:
    """Whole events in order, kept as the chunks that they were appended in."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._chunks: list[bytes | int] = []
        """Bytes, or the size of what stands in the file."""
        self._file: IO[bytes] | None = None
        self._file_end = 0

    def __len__(self) -> int:
        """Chunks so far."""
        return len(self._chunks)

    def append(self, events: bytes) -> None:
        """Put whole events behind the others."""
        if not events:
            return
        holds = self._holds
        if holds.memory_bytes + len(events) <= MEMORY_BYTES_MAX:
            holds.memory_bytes += len(events)
            self._chunks.append(events)
            return
        if holds.file_bytes + len(events) > FILE_BYTES_MAX:
            raise SourceError(
                f"transactions that are not decided yet have more than {FILE_BYTES_MAX} bytes"
                " (FILE_BYTES_MAX)",
                hint="commit or roll back prepared XA transactions: XA RECOVER lists them",
            )
        if self._file is None:
            # The system deletes it with the process, whatever happens.
            self._file = tempfile.TemporaryFile(prefix="cdc-")  # noqa: SIM115  # close() closes it
        self._file.seek(self._file_end)
        self._file.write(events)
        self._file_end += len(events)
        holds.file_bytes += len(events)
        self._chunks.append(len(events))

    def truncate(self, chunks: int) -> None:
        """Forget all but the first chunks."""
        while len(self._chunks) > chunks:
            chunk = self._chunks.pop()
            if isinstance(chunk, int):
                self._file_end -= chunk
                self._holds.file_bytes -= chunk
            else:
                self._holds.memory_bytes -= len(chunk)

    def pieces(self, bytes_max: int) -> Iterator[bytes]:
        """The events, in pieces of up to `bytes_max` or of one chunk."""
        parts: list[bytes] = []
        size = 0
        for chunk in self._read_chunks():
            if parts and size + len(chunk) > bytes_max:
                yield b"".join(parts)
                parts, size = [], 0
            parts.append(chunk)
            size += len(chunk)
        if parts:
            yield b"".join(parts)

    def _read_chunks(self) -> Iterator[bytes]:
        at = 0
        for chunk in self._chunks:
            if isinstance(chunk, int):
                assert self._file is not None, "what stands in a file has one"
                self._file.seek(at)
                at += chunk
                yield self._file.read(chunk)
            else:
                yield chunk

    def close(self) -> None:
        """Forget them all."""
        self.truncate(0)
        if self._file is not None:
            self._file.close()
            self._file = None
