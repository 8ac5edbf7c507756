"""XA transactions in the binlog: their names, and what an event says of them."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Literal

Verb = Literal["START", "END", "COMMIT", "ROLLBACK"]

_STATEMENT = re.compile(
    r"XA\s+(START|BEGIN|END|COMMIT|ROLLBACK)\s+X'([0-9A-F]*)'"
    r"(?:\s*,\s*X'([0-9A-F]*)'(?:\s*,\s*(\d+))?)?",
    re.IGNORECASE,
)
_PARTS_BYTES_MAX = 64
"""Of each of a name's two texts."""


@dataclass(frozen=True, slots=True)
class Xid:
    """The name of an XA transaction, as the application gave it."""

    gtrid: bytes
    bqual: bytes = b""
    format_id: int = 1

    def __str__(self) -> str:
        """As the servers write it."""
        return f"X'{self.gtrid.hex()}',X'{self.bqual.hex()}',{self.format_id}"


def xa_statement(text: str) -> tuple[Verb, Xid] | None:
    """What an XA statement does, and to which transaction; None if it can't be told."""
    found = _STATEMENT.match(text)
    if found is None:
        return None
    verb, gtrid, bqual, format_id = found.groups(default="")
    verb = verb.upper().replace("BEGIN", "START")
    try:
        xid = Xid(bytes.fromhex(gtrid), bytes.fromhex(bqual), int(format_id or 1))
    except ValueError:  # an odd number of digits
        return None
    return verb, xid  # type: ignore[return-value]  # the expression has these verbs only


def xa_prepare(body: bytes) -> tuple[bool, Xid]:
    """Whether an XA_PREPARE event commits in one phase, and its transaction's name.

    Raises ValueError if it can't be read."""
    try:
        one_phase, format_id, gtrid_bytes, bqual_bytes = struct.unpack_from("<BiII", body)
    except struct.error as error:
        raise ValueError("it is too short") from error
    name = body[13 : 13 + gtrid_bytes + bqual_bytes]
    if max(gtrid_bytes, bqual_bytes) > _PARTS_BYTES_MAX or len(name) != gtrid_bytes + bqual_bytes:
        raise ValueError(f"its name has {gtrid_bytes} and {bqual_bytes} bytes")
    return bool(one_phase), Xid(name[:gtrid_bytes], name[gtrid_bytes:], format_id)
