"""The section `source:`: a live server, or binlog files."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from zlib import crc32

from pydantic import AfterValidator, Discriminator, Field, SecretStr, Tag, model_validator

from cdc.capture.source_settings import StartAt
from cdc.config.section import ClientTls, ConfigPath, Section
from cdc.patterns import TablePatterns, check_table_pattern

START_ALLOWED = "allowed: earliest, latest, a GTID set, or file:position"

_MYSQL_GTIDS = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(:[a-z_][a-z0-9_]{0,31})?(:\d+(-\d+)?)+"
    r"(:[a-z_][a-z0-9_]{0,31}(:\d+(-\d+)?)+)*\Z",
    re.IGNORECASE,
)
_MARIADB_GTID = re.compile(r"\d+-\d+-\d+\Z")
_FILE_POSITION = re.compile(r"(?P<file>[^\s:/]+\.\d+):(?P<position>\d+)\Z")


def parse_start(text: str) -> StartAt:
    """The meaning of `source.start`; ValueError if it has none."""
    if text == "earliest":
        return StartAt("earliest")
    if text == "latest":
        return StartAt("latest")
    if match := _FILE_POSITION.match(text):
        return StartAt("file", file=match["file"], position=int(match["position"]))
    parts = [part.strip() for part in text.split(",")]
    if any(all(form.match(part) for part in parts) for form in (_MYSQL_GTIDS, _MARIADB_GTID)):
        return StartAt("gtid", gtid_set=",".join(parts))
    raise ValueError(START_ALLOWED)


def _check_start(text: str) -> str:
    parse_start(text)
    return text


Accepted = Literal[
    "row_image_not_full",
    "row_metadata_not_full",
    "statement_rows",
    "rolled_back_rows",
    "prepared_before_start",
    "incident",
    "unknown_events",
]
TablePattern = Annotated[str, AfterValidator(check_table_pattern)]
Start = Annotated[str, AfterValidator(_check_start)]


class _AnySource(Section):
    tables: Annotated[tuple[TablePattern, ...], Field(min_length=1)]
    """What is captured: `database.table`, with `*` and `?`."""
    accept: tuple[Accepted, ...] = ()
    """What stops the connector unless it is named here: server settings; events whose changes
    can't be published, which are then counted as dropped."""

    @property
    def patterns(self) -> TablePatterns:
        return TablePatterns(self.tables)


class SourceTls(ClientTls):
    """TLS to the server, with the modes of MySQL's own client."""

    mode: Literal["disabled", "preferred", "required", "verify_ca", "verify_identity"] = "preferred"


class ServerSource(_AnySource):
    """A live MySQL or MariaDB server."""

    host: str = "localhost"
    port: Annotated[int, Field(ge=1, le=65535)] = 3306
    user: Annotated[str, Field(min_length=1)]
    password: SecretStr = SecretStr("")
    tls: SourceTls = SourceTls()
    standby: bool = True
    """Whether a second instance waits for the end of the first, on a lock in the database; else
    it ends the first."""
    reader: Literal["cdc", "reference"] = "cdc"
    """Who reads the binlog: cdc itself, or mysql-replication, slow and independent."""
    server_id: Annotated[int | None, Field(ge=1, le=2**32 - 1)] = None
    """This connector's id as a replica; left out, it follows from the connector's name."""
    coordinates: Literal["auto", "gtid", "file"] = "auto"
    start: Start = "latest"
    heartbeat_seconds: Annotated[float, Field(gt=0, le=3600)] = 5.0
    """How often the server says that it has nothing new."""
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    wait_seconds: Annotated[float, Field(ge=0, le=86400)] = 60.0
    """How long to wait at start for a server that isn't there."""
    lineage_wait_seconds: Annotated[float, Field(ge=0, le=86400)] = 60.0
    """How long a server that lacks transactions of the checkpoint may take to catch up."""

    @property
    def start_at(self) -> StartAt:
        return parse_start(self.start)


class FileSource(_AnySource):
    """Binlog files, read as one stream; no server is needed."""

    files: Annotated[tuple[ConfigPath, ...], Field(min_length=1)]
    tables_file: ConfigPath | None = None
    """Descriptions of the tables, as `cdc describe` writes them."""
    start: Start = "earliest"

    @model_validator(mode="before")
    @classmethod
    def _no_server(cls, data: Any) -> Any:
        if isinstance(data, dict):
            both = [name for name in ServerSource.model_fields if name in data]
            both = [name for name in both if name not in cls.model_fields]
            if both:
                names = ", ".join(both)
                raise ValueError(f"either a server or files; leave out files, or leave out {names}")
        return data

    @property
    def start_at(self) -> StartAt:
        return parse_start(self.start)


def _kind_of_source(value: Any) -> str:
    has_files = "files" in value if isinstance(value, dict) else isinstance(value, FileSource)
    return "FileSource" if has_files else "ServerSource"


Source = Annotated[
    Annotated[ServerSource, Tag("ServerSource")] | Annotated[FileSource, Tag("FileSource")],
    Discriminator(_kind_of_source),
]


def derived_server_id(connector: str) -> int:
    """A replica id in the upper half of the range, the same at every start of a connector."""
    # People number their servers from 1 up: the upper half keeps out of their way.
    return 2**31 + crc32(connector.encode()) % (2**31 - 1)
