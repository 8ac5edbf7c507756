# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""One column of a table's plan: how its value is read, and what is written where that can't be."""

from __future__ import annotations

from typing import Any

import cython

from cdc.dead_letters import INVALID_TEXT, SUBSTITUTION
from cdc.errors import DecodeError

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.opcodes import UTF8
else:
    from cdc.capture.avro_out import Out
    from cdc.capture.opcodes import UTF8


@cython.cclass
class ColumnPlan:
    """One column's opcode with all it needs."""

    def __init__(
        self,
        owner: str,
        name: str,
        form: Any,
        *,
        null_branch: int = -1,
        key_slot: int = -1,
        null_value: bytes | None = None,
        fallback: bytes | None = None,
        absent: bytes | None = None,
        fails_on_substitution: bool = False,
        replaces_text: bool = False,
    ) -> None:
        self.owner = owner
        """`database.table`, for errors."""
        self.name = name
        self.kind, self.size, self.a, self.b = form.kind, form.size, form.a, form.b
        self.table = form.table
        self.is_prefixed = form.kind >= UTF8
        """The value's length stands in front of it, in `size` bytes."""
        self.null_branch = null_branch
        """Index of null in the union; -1: the column is not a union."""
        self.value_branch = 1 - null_branch if null_branch >= 0 else 0
        self.key_slot = key_slot
        """Place in the record's key; -1: not part of it."""
        self.null_value = null_value
        """The default, branch and all, that is written for null (`replace.null.with.default`)."""
        self.fallback = form.fallback if fallback is None else fallback
        """What is written in a NOT NULL column for a value that the format can't hold."""
        self.absent = absent
        """Written, branch and all, where a row image leaves the column out; None: it must not."""
        self.fails_on_substitution = fails_on_substitution
        self.replaces_text = replaces_text
        self.substitutions = 0
        """Values that the format can't hold, written as documented and counted (invariant 2)."""
        self.memo = dict[int, bytes]()

    @cython.cfunc
    @cython.exceptval(-1)
    def substitute(self, out: Out) -> cython.int:
        """Write null, or the fallback where null can't be, for a value that the format can't hold.

        The branch of a value was written before, and is taken back."""
        if self.fails_on_substitution:
            raise DecodeError(
                f"column {self.name} of {self.owner} holds a value that its Avro type can't",
                hint="correct the row at the source, leave the column out, or set"
                " on_substitution: count, which publishes null or the default and counts it",
                kind=SUBSTITUTION,
            )
        self.substitutions += 1
        if self.null_branch < 0:
            out.write(self.fallback)
            return 0
        out.n -= 1  # a branch is always one byte
        out.byte(2 * self.null_branch)
        return 0

    def short(self, wanted: int, end: int) -> DecodeError:
        return short_row(self.owner, wanted, end)

    def undecodable(self, value: bytes) -> DecodeError:
        """The error for text that its character set doesn't know; the text itself stays out."""
        decode = self.table or bytes.decode
        try:
            decode(value)
            start = 0
        except UnicodeError as error:
            start = getattr(error, "start", 0)
        return DecodeError(
            f"column {self.name} of {self.owner} holds bytes that its character set"
            f" doesn't know (at byte {start} of {len(value)})",
            hint="correct the row at the source, leave the column out, or set invalid_text:"
            " replace, which publishes U+FFFD in their place and counts it",
            kind=INVALID_TEXT,
        )


@cython.cclass
class VeiledColumn(ColumnPlan):
    """A column whose value is not published as it is: left out, masked, changed, or kept apart."""

    def __init__(
        self,
        plain: ColumnPlan,
        kind: int,
        *,
        constant: bytes = b"",
        change: Any = None,
        keyed: ColumnPlan | None = None,
        key_slot: int = -1,
    ) -> None:
        self.owner, self.name = plain.owner, plain.name
        self.kind = kind
        self.size, self.is_prefixed = plain.size, plain.is_prefixed
        self.null_branch = self.value_branch = -1
        self.key_slot = key_slot
        self.plain = plain
        """How the value is read, and written where it is."""
        self.constant = constant
        """What a CONSTANT column shows, branch and all."""
        self.change = change
        """From the value's text or bytes, in Avro, to what a CHANGED column shows."""
        self.keyed = keyed
        """How the key holds the column, if not as the value does."""

    def unreadable(self, kind: str) -> DecodeError:
        """The error for a value that can't be read; it says nothing of the value (invariant 9)."""
        return DecodeError(
            f"column {self.name} of {self.owner}, which is masked, can't be read",
            hint="correct the row at the source, or name the column in column.exclude.list",
            kind=kind,
        )


def short_row(owner: str, wanted: int, end: int) -> DecodeError:
    """The error for a row image that would end behind its event."""
    return DecodeError(
        f"a row of {owner} runs {wanted - end} bytes past the end of its event",
        hint="the binlog is damaged, or holds a column type that is read wrongly",
    )
