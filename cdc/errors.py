"""The error tree: one base, few children; each says what was done, on what, what to do next."""

from __future__ import annotations


class CdcError(Exception):
    """Base of all errors that a user can act on; `hint` is the next thing to do."""

    exit_code = 1
    """2: wrong usage or configuration; 3: another instance took over."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message


class ConfigError(CdcError):
    """A configuration that can't be used; raised once with all faults of a file."""

    exit_code = 2


class SourceError(CdcError):
    """The database can't be followed: connection, rights, settings, lineage."""


class PositionLost(SourceError):
    """What the checkpoint needs is no longer on the server."""


class PushedOut(SourceError):
    """Another follower with the same server id has come; the server keeps the newer one."""

    exit_code = 3


class DecodeError(CdcError):
    """Bytes of the binlog that can't be read; names file and position."""

    def __init__(self, message: str, *, hint: str = "", kind: str = "") -> None:
        """`kind` of fault, where one change is at fault and what follows can be read
        (`dead_letters.KINDS`)."""
        super().__init__(message, hint=hint)
        self.kind = kind


class LogError(CdcError):
    """The log (Kafka or embedded) refused or failed."""


class Fenced(CdcError):
    """A newer instance of this connector writes now; this one must stop."""

    exit_code = 3


class RegistryError(CdcError):
    """The schema registry refused or failed."""


class SchemaError(CdcError):
    """A schema that is missing, wrong, or doesn't fit the data."""


class RuleError(CdcError):
    """A rule that can't be applied to what it was given."""

    def __init__(self, message: str, *, hint: str = "", kind: str = "") -> None:
        """`kind` as of DecodeError."""
        super().__init__(message, hint=hint)
        self.kind = kind


class ViewError(CdcError):
    """A view that can't be built or a store that failed."""


class Unreachable(CdcError):
    """A server didn't answer; trying again may help. Retried within a named bound."""


class LockLost(Unreachable):
    """The connector's lock is gone: another instance may run it; this one queues for it again."""
