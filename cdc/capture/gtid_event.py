"""MySQL's GTID events: tagged ones (42), its own serialisation of numbered fields, from 8.3 on.

Format: mysql::serialization. A number's first byte says by its trailing ones how many bytes
follow; the rest is the number, little-endian. Signed numbers have their sign in the lowest bit.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from cdc.capture import binlog
from cdc.errors import DecodeError

UUID_BYTES = 16
TAG_BYTES_MAX = 32

_COMMIT_AT, _COMMIT_BYTES = 42, 7
"""Of the immediate commit's time in the plain event; the original one follows if it differs."""
_FLAGS, _UUID, _NUMBER, _TAG, _LAST_COMMITTED, _SEQUENCE, _IMMEDIATE, _ORIGINAL = range(8)


@dataclass(frozen=True, slots=True)
class TaggedGtid:
    """A transaction's name and time."""

    source: str
    """`uuid:tag`; `uuid` alone without a tag."""
    number: int
    commit_micros: int
    """Where the transaction was first committed."""


def tagged_gtid(body: bytes) -> TaggedGtid:
    """What a tagged GTID event says; DecodeError if it can't be read."""
    try:
        return _read(_Fields(body))
    except (IndexError, ValueError) as error:
        raise DecodeError(
            f"a tagged GTID event can't be read: {error}",
            hint=binlog.DAMAGED_HINT,
        ) from error


def commit_micros_of(kind: int, body: bytes) -> int:
    """When the transaction of one of MySQL's opening events was first committed; 0: unknown."""
    if kind == binlog.GTID_TAGGED:
        return tagged_gtid(body).commit_micros
    immediate, original = (
        int.from_bytes(body[at : at + _COMMIT_BYTES], "little")
        for at in (_COMMIT_AT, _COMMIT_AT + _COMMIT_BYTES)
    )
    return original if immediate >> 55 else immediate


def _read(fields: _Fields) -> TaggedGtid:
    version = fields.unsigned()
    if version != 1:
        raise ValueError(f"its serialisation is of version {version}")
    size, last_needed = fields.unsigned(), fields.unsigned()
    if size != len(fields.data):
        raise ValueError(f"it claims {size} bytes and has {len(fields.data)}")
    source, tag, number, immediate, original = "", "", 0, 0, 0
    while fields.at < size:
        field = fields.unsigned()
        if field == _UUID:
            source = str(uuid.UUID(bytes=bytes(fields.unsigned() for _ in range(UUID_BYTES))))
        elif field == _NUMBER:
            number = fields.signed()
        elif field == _TAG:
            tag = fields.text()
        elif field == _IMMEDIATE:
            immediate = fields.unsigned()
        elif field == _ORIGINAL:
            original = fields.unsigned()
        elif field in (_FLAGS, _LAST_COMMITTED, _SEQUENCE):
            fields.unsigned()
        elif field <= last_needed:
            raise ValueError(f"its field {field} is not known and must not be left out")
        else:
            break  # fields come in the order of their numbers: the rest is of no use to us
    if not source or number < 1:
        raise ValueError("it names no transaction")
    return TaggedGtid(f"{source}:{tag}" if tag else source, number, original or immediate)


class _Fields:
    """Reads numbers and texts front to back."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def unsigned(self) -> int:
        first = self.data[self.at]
        further = (~first & first + 1).bit_length() - 1  # trailing ones
        end = self.at + 1 + further
        if end > len(self.data):
            raise IndexError(f"it ends inside a number at byte {self.at}")
        number = int.from_bytes(self.data[self.at : end], "little") >> min(further + 1, 8)
        self.at = end
        return number

    def signed(self) -> int:
        number = self.unsigned()
        return ~(number >> 1) if number & 1 else number >> 1

    def text(self) -> str:
        size = self.unsigned()
        if size > min(TAG_BYTES_MAX, len(self.data) - self.at):
            raise IndexError(f"its tag has {size} bytes")
        self.at += size
        return self.data[self.at - size : self.at].decode("ascii")
