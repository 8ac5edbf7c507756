"""Opcodes of row plans: how a value's bytes are read, and what is written.

The compiled form has the same numbers as C constants, from opcodes.pxd; a test holds them equal.
"""

from __future__ import annotations

SIGNED = 0  # size: little-endian integer
UNSIGNED = 1
BIG_UNSIGNED = 2  # 8 bytes; unscaled two's complement out
COPY = 3  # size: Avro's own bytes already
FLOAT_AS_DOUBLE = 4
BOOLEAN = 5  # BIT(1)
BITS = 6  # size: big-endian in, little-endian out
DECIMAL = 7  # size; a: precision, b: scale; unscaled two's complement out
DECIMAL_TEXT = 8  # the same, plain digits out
DECIMAL_DOUBLE = 9
YEAR = 10
DATE = 11  # b: 0 or ISO
TIME = 12  # size; a: fractional digits; b: units a second, 0 for microseconds, ISO
DATETIME = 13  # size; a: fractional digits; b: units a second, ISO
TIMESTAMP = 14  # size; a: fractional digits
OLD_TIME = 15  # b as of TIME
OLD_DATETIME = 16  # b as of DATETIME
OLD_TIMESTAMP = 17
ENUM = 18  # size: of the index; table: labels as Avro strings
SET = 19  # size: of the bits; table: labels
UTF8 = 20  # size: of the length prefix, as in all that follow; the bytes are UTF-8 already
TEXT = 21  # table: decoder
BYTES = 22  # a: length that the server cut zeros off (BINARY), else 0; table: to text, if wanted
JSON = 23
GEOMETRY = 24  # a: optional fields behind the SRID, all null
POINT = 25
VECTOR = 26
COMPRESSED_BYTES = 27  # table as of BYTES
COMPRESSED_TEXT = 28  # table: decoder

# What a veiled column shows of its value (`columns.VeiledColumn`).
EXCLUDED = 32  # no part of the value
CONSTANT = 33  # a mask, whatever the value
CHANGED = 34  # the value's text changed by a function
APART = 35  # the key's encoding differs from the value's

ISO = 99  # a unit: text in ISO 8601

SLACK = 64
"""Bytes that an output buffer always has to spare; more than any value of fixed size takes."""
