"""What a reader of a live server has to be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cdc.patterns import TablePatterns
from cdc.ports import Seam, untouched

Coordinates = Literal["auto", "gtid", "file"]
TlsMode = Literal["disabled", "preferred", "required", "verify_ca", "verify_identity"]

BATCH_BYTES_MAX = 1 << 20
EVENT_BYTES_MAX = (1 << 30) + (1 << 16)
"""The servers' own bound of a packet, and the event's headers."""


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS to the server, with the modes of MySQL's own client.

    `preferred` with certificates of its own is `required`: who gives some wants them used."""

    mode: TlsMode = "preferred"
    ca: str | None = None
    cert: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class StartAt:
    """Where a first start begins."""

    kind: Literal["earliest", "latest", "gtid", "file"]
    gtid_set: str = ""
    file: str = ""
    position: int = 0


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """A live server, whom to go in as, what to follow and how."""

    name: str
    """The connector's name; the server shows it among its replicas."""
    host: str
    user: str
    server_id: int
    """This reader's id as a replica; no other replica of the server may have it."""
    tables: TablePatterns
    port: int = 3306
    password: str = field(default="", repr=False)
    tls: Tls = Tls()
    coordinates: Coordinates = "auto"
    start: StartAt = StartAt("latest")
    accept: frozenset[str] = frozenset()
    """Server settings that are refused unless named: row_image_not_full, row_metadata_not_full."""
    heartbeat_seconds: float = 5.0
    connect_timeout_seconds: float = 10.0
    lineage_wait_seconds: float = 60.0
    """How long a server that lacks transactions of the checkpoint may take to catch up."""
    batch_bytes_max: int = BATCH_BYTES_MAX
    event_bytes_max: int = EVENT_BYTES_MAX
    seam: Seam = field(default=untouched, repr=False, compare=False)

    @property
    def origin(self) -> str:
        """Whom we talk to, for messages: never with the password (invariant 9)."""
        return f"{self.user}@{self.host}:{self.port}"
