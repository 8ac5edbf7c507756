"""Where capture goes on, and for which server lineage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal
from zlib import crc32

import orjson

from cdc.errors import SourceError

Flavor = Literal["mysql", "mariadb"]

FORMAT_VERSION = 3
READABLE_VERSIONS = (1, 2, FORMAT_VERSION)
"""What an earlier version left out is unknown, and isn't proven."""
UNSEALED_VERSIONS = (1, 2)
_SEAL = b',"crc32":'


@dataclass(frozen=True, slots=True)
class LastTransaction:
    """The last event that opened a transaction, to be found again (`readback`).

    After a reset, or a crash that lost an unsynced tail, its number may name another one."""

    name: str
    """The transaction's GTID, else file:pos of its begin."""
    commit_micros: int
    """When it was first committed, on whichever server; 0 where the event doesn't say."""
    file: str
    """Empty: it was seen on another server, and where it stands on this one isn't known."""
    file_seconds: int
    """When the file was begun."""
    pos: int
    digest: int
    """Of the event's time, type, server id and body; MySQL's body has the transaction's length."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Where an XA transaction that is prepared and not decided yet stands in the binlog."""

    file: str
    pos: int
    """Of the event that opens it."""
    source: str = ""
    number: int = 0
    """Of MySQL's GTID, which counts as processed only once it is decided; else empty."""
    chunks: int = -1
    """Records of `PreparedStore` that hold its rows; -1: they aren't kept there."""

    @property
    def is_kept(self) -> bool:
        """Whether its rows can be had without the server."""
        return self.chunks >= 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A place between two row images of one server lineage's binlog (invariant 5)."""

    flavor: Flavor
    server: str
    """MySQL's server_uuid; MariaDB, which has none, goes by its server_id. Empty: unknown."""
    gtid_set: str
    """Wholly processed: MySQL's executed set, MariaDB's last GTID of each domain, or empty."""
    file: str
    pos: int
    """64 bits: the begin of the open transaction, else the end of the last event."""
    transaction: str = ""
    """The open transaction (its GTID, else file:pos of its begin); empty between transactions."""
    rows_done: int = 0
    """Row images of the open transaction that are done, captured or not."""
    epoch: int = 1
    sequence: int = 0
    """Change events numbered so far in this epoch."""
    time_seconds: int = 0
    """The server's clock at the last event seen; information only."""
    awaited: Mapping[str, int] = field(default_factory=dict)
    """Transactions that were begun and will come again later, since the reading began anew, perhaps
    at a server with another order → row images that are done."""
    last: LastTransaction | None = None
    prepared: Mapping[str, Prepared] = field(default_factory=dict)
    """Name of an XA transaction → where its rows stand, which count at its XA COMMIT."""
    spool: str = ""
    """host:folder of the spool that the connector runs with; empty: none."""

    def begun(self) -> dict[str, int]:
        """All transactions that are done in part → row images that are done."""
        is_open = {self.transaction: self.rows_done} if self.transaction else {}
        return {**self.awaited, **is_open}

    def unkept(self) -> dict[str, Prepared]:
        """Prepared transactions whose rows stand in the binlog alone."""
        return {xid: place for xid, place in self.prepared.items() if not place.is_kept}

    def to_bytes(self) -> bytes:
        """JSON, readable by people, that ends with the CRC-32 of what it is without it."""
        fields = {"version": FORMAT_VERSION, **asdict(self)}
        if not self.spool:
            del fields["spool"]  # as those write it that know no spool
        text = orjson.dumps(fields)
        return text[:-1] + _SEAL + b"%d}" % crc32(text)

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """The checkpoint in `data`; SourceError if it is of another version or damaged."""
        try:
            fields = orjson.loads(data)
            version = fields.pop("version")
            if version in READABLE_VERSIONS and _is_whole(version, fields.pop("crc32", None), data):
                last = fields.pop("last", None)
                prepared = fields.pop("prepared", {})
                return cls(
                    **fields,
                    last=None if last is None else LastTransaction(**last),
                    prepared={xid: Prepared(**place) for xid, place in prepared.items()},
                )
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            pass
        raise SourceError(
            f"the stored checkpoint can't be read: {data[:200]!r}",
            hint="it was written by another version of cdc, or is damaged; run that version, or"
            " begin anew under another connector name",
        )


def _is_whole(version: int, crc: int | None, data: bytes) -> bool:
    """Whether no bit of it has changed; early versions can't tell."""
    if version in UNSEALED_VERSIONS:
        return crc is None
    return crc == crc32(data[: data.rfind(_SEAL)] + b"}")
