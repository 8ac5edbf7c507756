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

_PASS = cython.declare(cython.int, 0)
_QUERY = cython.declare(cython.int, 1)
_XID = cython.declare(cython.int, 2)
_GTID = cython.declare(cython.int, 3)
_STOP = cython.declare(cython.int, 4)
_ACTIONS = {
    binlog.QUERY: _QUERY,
    binlog.XID: _XID,
    binlog.MARIADB_GTID: _GTID,
    binlog.ROTATE: _STOP,
    binlog.FORMAT_DESCRIPTION: _STOP,
    binlog.XA_PREPARE: _STOP,
    binlog.TRANSACTION_PAYLOAD: _STOP,
    binlog.MARIADB_QUERY_COMPRESSED: _STOP,
}
# One look by the event's type, which most often says: go on.
_action_bytes: bytes = bytes(_ACTIONS.get(kind, _PASS) for kind in range(256))
if cython.compiled:
    _action_of = cython.declare(
        cython.p_const_uchar,
        cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(_action_bytes)),
    )
else:
    _action_of = _action_bytes
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
        action: cython.int
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
            action = _action_of[data[here + 4]]
            if action == _PASS:
                pass
            elif action == _QUERY:
                if self._stops_at_query(data, here + HEADER_BYTES, here + size):
                    return here
            elif action == _XID:
                self.is_open = False
                if self.stops_at_end:
                    return here
            elif action == _STOP:
                return here
            elif size >= HEADER_BYTES + _MARIADB_GTID_BYTES:
                if data[here + HEADER_BYTES + 12] & XA_FLAGS or self.stops_at_end:
                    return here
                if not data[here + HEADER_BYTES + 12] & STANDALONE:
                    self.open_at = here
                    self.is_open = True
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
