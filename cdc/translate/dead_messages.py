"""Dead letters of translate: change events that the rules can't be applied to."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping

from cdc.codec.wire import FRAME_BYTES
from cdc.dead_letters import (
    HELD,
    RAW_BYTES_MAX,
    DeadLetter,
    DeadLetters,
    dead_letters_topic,
    digest_of,
)
from cdc.errors import CdcError, RuleError
from cdc.held_keys import HeldKeys, Key
from cdc.model import ID_HEADER, REVISION_HEADER, Message, Record, Revision

ID_END = "/translate"
"""Behind the change's id, which capture's own dead letter would have."""


class DeadMessages:
    """Makes the dead letters of translate, where the policy wants them."""

    def __init__(self, connector: str, dead_letters: DeadLetters, clock: Callable[[], int]) -> None:
        """`clock` has nanoseconds."""
        self._topic = dead_letters_topic(connector)
        self._dead_letters, self._clock = dead_letters, clock
        self._is_holding = dead_letters.policy.is_holding

    @property
    def held(self) -> HeldKeys:
        """The keys that wait."""
        return self._dead_letters.held_keys

    def check_held(self, place: str, keys: Iterable[Key]) -> None:
        """Raises what makes a change wait, if one of its keys does."""
        for first in self.held.firsts(keys):
            raise RuleError(f"{place}: held behind dead letter {first.id}", kind=HELD)

    def settle(
        self,
        table: str,
        message: Message,
        headers: Mapping[str, bytes],
        error: RuleError,
        keys: Callable[[], Iterable[Key]],
    ) -> Record | str:
        """The record of a dead letter, or why the change is dropped; else raises `error`.

        `keys`: what its events would have, as far as can be told, and its own."""

        def make() -> DeadLetter:
            raw = {"value": message.value or b""}
            if message.key is not None:
                raw["key"] = message.key
            length = sum(map(len, raw.values()))
            is_kept = length + sum(len(value) for _, value in message.headers) <= RAW_BYTES_MAX
            if error.kind == HELD and not is_kept:
                raise RuleError(
                    f"{error.message}; but it can't wait: it has {length} bytes, and a dead letter"
                    f" keeps {RAW_BYTES_MAX} at most",
                    hint="redrive what it waits for, or drop it and redrive what waits already",
                )
            place = f"{message.topic}[{message.partition}]@{message.offset}"
            revision = headers.get(REVISION_HEADER)
            name = headers.get(ID_HEADER, b"").decode("ascii", "replace")
            return DeadLetter(
                id=f"{name}{ID_END}" if name else place,
                stage="translate",
                kind=error.kind,
                reason=error.message,
                table=table,
                time_ms=self._clock() // 1_000_000,
                coordinates={
                    "topic": message.topic,
                    "partition": message.partition,
                    "offset": message.offset,
                    **({} if revision is None else {"revision": _parts(revision)}),
                },
                length=length,
                digest=digest_of(raw.values()),
                raw=raw if is_kept else {},
                about={"headers": _shown(message)} if is_kept else {},
                holds=tuple(dict.fromkeys(keys())) if self._is_holding else (),
            )

        settled = self._dead_letters.settle(error.kind, table, error, make)
        if isinstance(settled, str):
            return settled
        return Record(self._topic, 0, settled.key, settled.to_bytes())


def change_keys(message: Message, old_key: bytes | None) -> list[Key]:
    """The keys of a change event, two where its row's key changed."""
    if message.key is None:
        return [(message.topic, None)]
    keys = [message.key] if old_key is None else [old_key, message.key]
    # Another schema's id in front, and it is the same key.
    return [(message.topic, key[FRAME_BYTES:]) for key in keys]


def _parts(revision: bytes) -> tuple[int, int, int]:
    found = Revision.from_bytes(revision)
    return found.epoch, found.sequence, found.ordinal


def _shown(message: Message) -> list[tuple[str, str]]:
    return [(name, base64.b64encode(value).decode()) for name, value in message.headers]


def message_of(letter: DeadLetter) -> Message:
    """The change event of a dead letter; CdcError if it isn't kept."""
    if "headers" not in letter.about:
        raise CdcError(
            f"the change event of {letter.id} isn't kept: it has {letter.length} bytes",
            hint=f"it stands at {dict(letter.coordinates)}",
        )
    at = letter.coordinates
    return Message(
        at["topic"],
        at["partition"],
        at["offset"],
        letter.raw.get("key"),
        letter.raw["value"],
        [(name, base64.b64decode(value)) for name, value in letter.about["headers"]],
        letter.time_ms,
    )
