"""Where capture goes on, and for which server lineage."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import orjson

from cdc.errors import SourceError

Flavor = Literal["mysql", "mariadb"]

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A place between two row images of one server lineage's binlog (invariant 5)."""

    flavor: Flavor
    server: str
    """MySQL's server_uuid; for MariaDB, which has none, empty."""
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

    def to_bytes(self) -> bytes:
        """JSON, readable by people."""
        return orjson.dumps({"version": FORMAT_VERSION, **asdict(self)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """The checkpoint in `data`; SourceError if it is of another version or damaged."""
        try:
            fields = orjson.loads(data)
            if fields.pop("version") == FORMAT_VERSION:
                return cls(**fields)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            pass
        raise SourceError(
            f"the stored checkpoint can't be read: {data[:200]!r}",
            hint="it was written by another version of cdc, or is damaged; run that version, or"
            " begin anew under another connector name",
        )
