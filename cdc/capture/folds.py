# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Finds the events of a batch that must not be decoded as they stand, by headers alone.

One source, two forms, like framing.py. Most batches hold none: then this is a few steps per
event and transaction, and the batch goes on as it is."""

from __future__ import annotations

import cython

from cdc.capture import binlog

if cython.compiled:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING

QUERY = cython.declare(cython.int, binlog.QUERY)
ROTATE = cython.declare(cython.int, binlog.ROTATE)
FORMAT_DESCRIPTION = cython.declare(cython.int, binlog.FORMAT_DESCRIPTION)
XID = cython.declare(cython.int, binlog.XID)
XA_PREPARE = cython.declare(cython.int, binlog.XA_PREPARE)
TRANSACTION_PAYLOAD = cython.declare(cython.int, binlog.TRANSACTION_PAYLOAD)
MARIADB_GTID = cython.declare(cython.int, binlog.MARIADB_GTID)
QUERY_COMPRESSED = cython.declare(cython.int, binlog.MARIADB_QUERY_COMPRESSED)
HEADER_BYTES = cython.declare(cython.Py_ssize_t, binlog.HEADER_BYTES)
STANDALONE = cython.declare(cython.int, binlog.MARIADB_GTID_STANDALONE)
XA_FLAGS = cython.declare(
    cython.int, binlog.MARIADB_GTID_PREPARED_XA | binlog.MARIADB_GTID_COMPLETED_XA
)
_MARIADB_GTID_BYTES = cython.declare(cython.Py_ssize_t, 13)
_QUERY_BYTES = cython.declare(cython.Py_ssize_t, 13)


@cython.cclass
class FoldFinder:
    """Follows the headers of a stream, batch by batch."""

    open_at = cython.declare(cython.Py_ssize_t, visibility="readonly")
    """Where in this batch the last transaction of MariaDB begins."""
    is_open = cython.declare(cython.bint, visibility="public")
    """It has not ended: it may still be rolled back."""
    stops_at_end = cython.declare(cython.bint, visibility="public")
    """Stop at the end of a transaction too: what came of it waits for that."""

    def __init__(self) -> None:
        self.open_at = 0
        self.is_open = self.stops_at_end = False

    def find(self, events: bytes, at: int) -> int:
        """Where the next such event stands from `at` on; the batch's end if there is none."""
        total: cython.Py_ssize_t = len(events)
        here: cython.Py_ssize_t = at
        size: cython.Py_ssize_t
        kind: cython.int
        data: cython.p_const_uchar
        if cython.compiled:  # each form knows its own branch only
            data = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(events))
        else:
            data = events
        while total - here >= HEADER_BYTES:
            size = data[here + 9] | data[here + 10] << 8 | data[here + 11] << 16
            size |= cython.cast(cython.Py_ssize_t, data[here + 12]) << 24
            if size < HEADER_BYTES or size > total - here:
                break  # the decoder says what is wrong
            kind = data[here + 4]
            if kind == QUERY:
                if self._stops_at_query(data, here + HEADER_BYTES, here + size):
                    return here
            elif kind == XID:
                self.is_open = False
                if self.stops_at_end:
                    return here
            elif kind == MARIADB_GTID and size >= HEADER_BYTES + _MARIADB_GTID_BYTES:
                if data[here + HEADER_BYTES + 12] & XA_FLAGS or self.stops_at_end:
                    return here
                if not data[here + HEADER_BYTES + 12] & STANDALONE:
                    self.open_at = here
                    self.is_open = True
            elif kind in (
                ROTATE,
                FORMAT_DESCRIPTION,
                XA_PREPARE,
                TRANSACTION_PAYLOAD,
                QUERY_COMPRESSED,
            ):
                return here
            here += size
        return total

    @cython.cfunc
    @cython.exceptval(check=False)
    def _stops_at_query(
        self, data: cython.p_const_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.bint:
        """Whether its text may be XA, SAVEPOINT or ROLLBACK, as servers write them."""
        first: cython.int
        if end - at < _QUERY_BYTES:
            return False
        at += _QUERY_BYTES + data[at + 8] + (data[at + 11] | data[at + 12] << 8) + 1
        if end - at < 6:
            return False
        first = data[at]
        if first == 0x43 and data[at + 1] == 0x4F:  # COMMIT
            self.is_open = False
            return self.stops_at_end
        return first == 0x58 or first == 0x52 or first == 0x53
