"""Copies binlog files out of a server, wherever it keeps them: over the replication protocol."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymysql.constants import COMMAND

from cdc.services import DatabaseAddress

MAGIC = b"\xfebin"
ROTATE = 4
ARTIFICIAL_FLAG = 0x20
NON_BLOCKING = 1
SERVER_ID = 4_100_000_001
OK_BYTES = 1


def copy(address: DatabaseAddress, names: Sequence[str], folder: Path) -> list[Path]:
    """The files, byte for byte, in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in names:
        path = folder / name
        _copy_one(address, name, path)
        paths.append(path)
    return paths


def _copy_one(address: DatabaseAddress, name: str, path: Path) -> None:
    connection: Any  # its packets are not in its types
    with address.connect() as connection, path.open("wb") as out:
        with connection.cursor() as cursor:
            cursor.execute("SET @source_binlog_checksum = @@GLOBAL.binlog_checksum")
        body = struct.pack("<IHI", len(MAGIC), NON_BLOCKING, SERVER_ID) + name.encode()
        connection._execute_command(COMMAND.COM_BINLOG_DUMP, body)
        out.write(MAGIC)
        while True:
            packet = connection._read_packet()
            if packet.is_eof_packet():
                return
            event = packet.get_all_data()[OK_BYTES:]
            flags = int.from_bytes(event[17:19], "little")
            if not flags & ARTIFICIAL_FLAG:
                out.write(event)
            if event[4] == ROTATE and not flags & ARTIFICIAL_FLAG:
                return  # what follows is of the next file
