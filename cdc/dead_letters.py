"""Dead letters: changes that could not go on, kept with what is needed to try them again.

One shape for capture and translate, as JSON on the connector's own topic, written in the
transaction of the records around them. Invariant 2: a change that enters is published, dropped by
a named rule, or is a dead letter.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

import orjson

from cdc.errors import CdcError, LogError
from cdc.model import Message
from cdc.patterns import TablePatterns

INVALID_TEXT: Final = "invalid_text"
SUBSTITUTION: Final = "substitution"
UNREADABLE_VALUE: Final = "unreadable_value"
LEFT_OUT_COLUMNS: Final = "left_out_columns"
OVERSIZED_RECORD: Final = "oversized_record"
STATEMENT_ROWS: Final = "statement_rows"
RULE: Final = "rule"
UNREADABLE_EVENT: Final = "unreadable_event"
CAPTURE_KINDS: Final = (
    INVALID_TEXT, SUBSTITUTION, UNREADABLE_VALUE, LEFT_OUT_COLUMNS, OVERSIZED_RECORD,
    STATEMENT_ROWS,
)  # fmt: skip
TRANSLATE_KINDS: Final = (RULE, UNREADABLE_EVENT)
KINDS: Final = (*CAPTURE_KINDS, *TRANSLATE_KINDS)
"""Of faults that one change alone can have."""

RAW_BYTES_MAX = 512 * 1024
"""Of what is kept of a change, so that its dead letter fits wherever other records do."""
FORMAT_VERSION: Final = 1


def dead_letters_topic(connector: str) -> str:
    """The internal topic that a connector's dead letters are kept in."""
    return f"{connector}.dead_letters"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A change that could not go on."""

    id: str
    """Unique in the connector, the same after a restart."""
    stage: str
    kind: str
    """One of KINDS."""
    reason: str
    """As the error would have said it; no value of a hidden column is in it (invariant 9)."""
    table: str
    """`database.table`; only the database, where the table isn't known."""
    time_ms: int
    """When it was made, since 1970; information only."""
    coordinates: Mapping[str, Any]
    """Where the change stands in what the stage reads."""
    length: int
    """Bytes of the whole change as the stage read it."""
    digest: str
    """SHA-256 of what is kept of it, else of the whole change; in hex."""
    raw: Mapping[str, bytes] = field(default_factory=dict)
    """The change's bytes, in named parts; empty: they aren't kept."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What is needed beside them to try it again."""
    hidden: tuple[str, ...] = ()
    """Columns whose values are cut out of `raw`."""
    attempt: int = 1
    """How often it was tried."""

    @property
    def key(self) -> bytes:
        return self.id.encode()

    def to_bytes(self) -> bytes:
        """JSON, readable by people but for `raw`, which is base64."""
        raw = {name: base64.b64encode(part).decode() for name, part in self.raw.items()}
        return orjson.dumps({"version": FORMAT_VERSION, **asdict(self), "raw": raw})

    @classmethod
    def from_bytes(cls, data: bytes) -> DeadLetter:
        """The dead letter in `data`; LogError if it is of another version or damaged."""
        try:
            found = orjson.loads(data)
            if found.pop("version") == FORMAT_VERSION:
                found["raw"] = {name: base64.b64decode(one) for name, one in found["raw"].items()}
                found["hidden"] = tuple(found["hidden"])
                return cls(**{one.name: found[one.name] for one in fields(cls)})
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise LogError(
            f"a dead letter can't be read: {data[:200]!r}",
            hint="it was written by another version of cdc, or is damaged; read it with `cdc tail`",
        )


def digest_of(parts: Iterable[bytes]) -> str:
    """SHA-256 in hex."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def kept(messages: Iterable[Message]) -> dict[str, DeadLetter]:
    """By id those that were neither redriven nor dropped, of the whole topic's messages."""
    found: dict[str, DeadLetter] = {}
    for message in messages:
        name = (message.key or b"").decode("utf-8", "replace")
        if message.value is None:
            found.pop(name, None)
        else:
            found[name] = DeadLetter.from_bytes(message.value)
    return found


@dataclass(frozen=True, slots=True)
class SkipRule:
    """Changes with this kind of fault are dropped under the rule's name."""

    name: str
    kind: str
    tables: TablePatterns


@dataclass(frozen=True, slots=True)
class Policy:
    """What becomes of changes that can't go on: an error, unless it names their kind."""

    dead_letter: frozenset[str] = frozenset()
    """Kinds that become dead letters."""
    skip: tuple[SkipRule, ...] = ()
    """What is dropped; comes before `dead_letter`."""
    count_max: int = 100
    """Dead letters of a stage that are kept at a time; one more stops it."""

    def speaks_of(self, kind: str) -> bool:
        """Whether such a fault is more than an error, of some tables at least."""
        return kind in self.dead_letter or any(one.kind == kind for one in self.skip)

    def rule_for(self, kind: str, table: str) -> SkipRule | None:
        """The first rule that drops such a change."""
        named = table if "." in table else f"{table}."
        fits = (one for one in self.skip if one.kind == kind and one.tables.covers(named))
        return next(fits, None)


class DeadLetters:
    """What becomes of a stage's changes that can't go on, by policy and within its limit."""

    def __init__(
        self,
        policy: Policy,
        kept_count: int = 0,
        on_made: Callable[[DeadLetter], None] = lambda letter: None,
    ) -> None:
        """`kept_count`: dead letters of the stage that are there already; `on_made` hears of each
        new one, before it is written."""
        self._on_made = on_made
        self.policy = policy
        self.kept_count = kept_count
        self.made: Counter[str] = Counter()
        """By kind, since the stage was opened."""

    def settle(
        self,
        kind: str,
        table: str,
        error: CdcError,
        make: Callable[[], DeadLetter],
    ) -> DeadLetter | str:
        """The dead letter to be written, or why the change is dropped. Else raises `error`."""
        rule = self.policy.rule_for(kind, table)
        if rule is not None:
            return f"{rule.name} is in dead_letters.skip"
        if kind not in self.policy.dead_letter:
            raise error
        count = self.kept_count + self.made.total()
        if count >= self.policy.count_max:
            raise type(error)(
                f"{count} dead letters are kept or about to be (dead_letters.count_max); one more"
                f" would be: {error.message}",
                hint="look at them with `cdc dead list`; mend the cause, redrive or drop them, or"
                " raise the limit; nothing is lost",
            )
        self.made[kind] += 1
        letter = make()
        self._on_made(letter)
        return letter
