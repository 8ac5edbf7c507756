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
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

import orjson

from cdc.errors import CdcError, LogError
from cdc.held_keys import First, HeldKeys, Key
from cdc.model import Message, Revision
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
HELD: Final = "held"
"""Of a change without a fault, or of which nobody has looked for one: an earlier one of its key is
a dead letter."""

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
    """One of KINDS, or HELD."""
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
    holds: tuple[Key, ...] = ()
    """Keys whose later records wait for it; none: they don't wait."""

    @property
    def key(self) -> bytes:
        return self.id.encode()

    @property
    def revision(self) -> Revision:
        """What its record would have had; (0, 0) where none would have had one."""
        return Revision(*self.coordinates.get("revision", (0, 0)))

    def to_bytes(self) -> bytes:
        """JSON, readable by people but for keys and `raw`, which are base64."""
        raw = {name: _text(part) for name, part in self.raw.items()}
        holds = [(topic, None if key is None else _text(key)) for topic, key in self.holds]
        values = {"version": FORMAT_VERSION, **asdict(self), "raw": raw, "holds": holds}
        return orjson.dumps(values)

    @classmethod
    def from_bytes(cls, data: bytes) -> DeadLetter:
        """The dead letter in `data`; LogError if it is of another version or damaged."""
        try:
            found = orjson.loads(data)
            if found.pop("version") == FORMAT_VERSION:
                found["raw"] = {name: base64.b64decode(one) for name, one in found["raw"].items()}
                found["hidden"] = tuple(found["hidden"])
                found["holds"] = tuple(
                    (topic, None if key is None else base64.b64decode(key))
                    for topic, key in found.get("holds", ())  # early ones held nothing back
                )
                return cls(**{one.name: found[one.name] for one in fields(cls)})
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise LogError(
            f"a dead letter can't be read: {data[:200]!r}",
            hint="it was written by another version of cdc, or is damaged; read it with `cdc tail`",
        )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def digest_of(parts: Iterable[bytes]) -> str:
    """SHA-256 in hex."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def first_of(letter: DeadLetter) -> First:
    """What is said of a dead letter that others wait for."""
    at = letter.coordinates
    return First(letter.id, letter.revision, at.get("transaction", ""), at.get("ordinal", 0))


def held_keys_of(letters: Iterable[DeadLetter]) -> HeldKeys:
    """The keys that are held by what a stage has kept."""
    found = HeldKeys()
    # Not as they stand in the topic: what was tried again stands behind what waits for it.
    for letter in sorted(letters, key=lambda one: one.revision):
        found.add(letter.holds, first_of(letter))
    return found


def kept(messages: Iterable[Message], *, is_bare: bool = False) -> dict[str, DeadLetter]:
    """By id those that were neither redriven nor dropped, of the whole topic's messages; bare ones
    have lost their `raw` and `about`."""
    found: dict[str, DeadLetter] = {}
    for message in messages:
        name = (message.key or b"").decode("utf-8", "replace")
        if message.value is None:
            found.pop(name, None)
        else:
            letter = DeadLetter.from_bytes(message.value)
            found[name] = replace(letter, raw={}, about={}) if is_bare else letter
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
    is_holding: bool = False
    """Later records of a key that has a dead letter wait behind it; else they pass."""
    held_max: int = 1000
    """Records of a stage that wait at a time; one more stops it."""

    def speaks_of(self, kind: str) -> bool:
        """Whether such a fault is more than an error, of some tables at least."""
        return kind in self.dead_letter or any(one.kind == kind for one in self.skip)

    def rule_for(self, kind: str, table: str) -> SkipRule | None:
        """The first rule that drops such a change."""
        named = table if "." in table else f"{table}."
        fits = (one for one in self.skip if one.kind == kind and one.tables.covers(named))
        return next(fits, None)


class DeadLetters:
    """What becomes of a stage's changes that can't go on, by policy and within its limits."""

    def __init__(
        self,
        policy: Policy,
        kept_count: int = 0,
        on_made: Callable[[DeadLetter], None] = lambda letter: None,
        *,
        held_count: int = 0,
        held_keys: HeldKeys | None = None,
    ) -> None:
        """`kept_count`: dead letters of the stage that are there already, `held_count` what waits
        behind them, `held_keys` for which keys; `on_made` hears of each new one, before it is
        written."""
        self._on_made = on_made
        self.policy = policy
        self.kept_count, self.held_count = kept_count, held_count
        self.held_keys = held_keys or HeldKeys()
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
        if kind == HELD:
            self._check_held(error)
        else:
            rule = self.policy.rule_for(kind, table)
            if rule is not None:
                return f"{rule.name} is in dead_letters.skip"
            if kind not in self.policy.dead_letter:
                raise error
            self._check_kept(error)
        self.made[kind] += 1
        letter = make()
        self.held_keys.add(letter.holds, first_of(letter))
        self._on_made(letter)
        return letter

    def _check_kept(self, error: CdcError) -> None:
        count = self.kept_count + self.made.total() - self.made[HELD]
        if count >= self.policy.count_max:
            raise type(error)(
                f"{count} dead letters are kept or about to be (dead_letters.count_max); one more"
                f" would be: {error.message}",
                hint="look at them with `cdc dead list`; mend the cause, redrive or drop them, or"
                " raise the limit; nothing is lost",
            )

    def _check_held(self, error: CdcError) -> None:
        count = self.held_count + self.made[HELD]
        if count >= self.policy.held_max:
            raise type(error)(
                f"{count} records are held back or about to be (dead_letters.held_max); one more"
                f" would be {error.message}",
                hint="redrive what they wait for (`cdc dead list`), or drop it and redrive them, or"
                " raise the limit; nothing is lost",
            )
