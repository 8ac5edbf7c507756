# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""A growing buffer that Avro is written into, with `SLACK` bytes always to spare.

That room covers any value of fixed size, so that only values of variable size ask for more.
"""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.cdc.capture.opcodes import SLACK
    from cython.cimports.cpython.bytearray import PyByteArray_AS_STRING
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
    from cython.cimports.libc.string import memcpy
else:
    from cdc.capture.opcodes import SLACK


def avro_string(text: str) -> bytes:
    """A string as Avro writes it: length, UTF-8."""
    data = text.encode()
    out = Out(len(data) + SLACK)
    out.put(len(data))
    out.write(data)
    return out.value()


@cython.cclass
class Out:
    """A growing buffer that Avro is written into."""

    def __init__(self, size: int) -> None:
        self.buffer = bytearray(size)
        self.size = size
        self.n = 0
        self._point()

    def _point(self) -> None:
        if cython.compiled:
            self.p = cython.cast(cython.p_uchar, PyByteArray_AS_STRING(self.buffer))
        else:
            self.p = self.buffer

    @cython.cfunc
    @cython.exceptval(-1)
    def reserve(self, more: cython.Py_ssize_t) -> cython.int:
        """Make room for `more` bytes and the slack."""
        if self.n + more + SLACK > self.size:
            self.size = 2 * (self.n + more + SLACK)
            grown = bytearray(self.size)
            grown[: self.n] = self.buffer[: self.n]
            self.buffer = grown
            self._point()
        return 0

    @cython.cfunc
    @cython.exceptval(check=False)
    def byte(self, value: cython.uchar) -> cython.void:
        self.p[self.n] = value
        self.n += 1

    @cython.cfunc
    @cython.exceptval(check=False)
    def varint(self, value: cython.longlong) -> cython.void:
        """A zigzag varint, Avro's int and long; at most 10 bytes."""
        u: cython.ulonglong
        if cython.compiled:
            u = (cython.cast(cython.ulonglong, value) << 1) ^ cython.cast(
                cython.ulonglong, value >> 63
            )
        else:
            u = (value << 1 ^ value >> 63) & 0xFFFFFFFFFFFFFFFF
        while u > 0x7F:
            self.p[self.n] = u & 0x7F | 0x80
            self.n += 1
            u >>= 7
        self.p[self.n] = u
        self.n += 1

    @cython.cfunc
    @cython.exceptval(check=False)
    def copy(
        self, data: cython.p_const_uchar, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.void:
        """Bytes as they are; the caller has reserved the room."""
        if cython.compiled:
            memcpy(self.p + self.n, data + at, size)
        else:
            self.buffer[self.n : self.n + size] = data[at : at + size]
        self.n += size

    @cython.cfunc
    @cython.exceptval(-1)
    def write(self, data: bytes) -> cython.int:
        """Bytes as they are, with the room they need."""
        size: cython.Py_ssize_t = len(data)
        self.reserve(size)
        if cython.compiled:
            memcpy(self.p + self.n, PyBytes_AS_STRING(data), size)
        else:
            self.buffer[self.n : self.n + size] = data
        self.n += size
        return 0

    @cython.cfunc
    def slice(self, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> bytes:
        if cython.compiled:
            return PyBytes_FromStringAndSize(
                cython.cast(cython.p_char, self.p) + start, end - start
            )
        return bytes(self.buffer[start:end])

    @cython.cfunc
    @cython.exceptval(check=False)
    def equals(self, other: Out) -> cython.bint:
        """True if both hold the same bytes."""
        i: cython.Py_ssize_t
        if self.n != other.n:
            return False
        for i in range(self.n):  # noqa: SIM110  # a generator would be an object per byte
            if self.p[i] != other.p[i]:
                return False
        return True

    def put(self, value: int) -> None:
        """A varint, with the room it needs."""
        self.reserve(0)
        self.varint(value)

    def text(self, value: str) -> None:
        """An Avro string."""
        data = value.encode()
        self.put(len(data))
        self.write(data)

    def value(self) -> bytes:
        """All that was written."""
        return self.slice(0, self.n)

    def clear(self) -> None:
        self.n = 0
