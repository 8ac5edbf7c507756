"""A server's refusals, by code and text, as errors that say what to do next."""

from __future__ import annotations

import socket
import ssl

from cdc.capture.grants import quoted_user
from cdc.capture.source_settings import ServerSettings
from cdc.errors import CdcError, PositionLost, PushedOut, SourceError, Unreachable

ACCESS_DENIED, DATABASE_DENIED, HOST_NOT_ALLOWED = 1045, 1044, 1130
HOST_BLOCKED, TOO_MANY_CONNECTIONS, USER_CONNECTIONS, USER_LIMIT = 1129, 1040, 1203, 1226
PLUGIN_NOT_LOADED, CLIENT_PLUGIN, ACCOUNT_LOCKED, PASSWORD_EXPIRED = 1524, 2059, 3118, 1820
PRIVILEGE_MISSING, TABLE_DENIED = 1227, 1142
SECURE_TRANSPORT_REQUIRED, TLS_FAILED = 3159, 2026
BINLOG_FAILED, SAME_SERVER_ID = 1236, 4052
SHUTDOWN, QUERY_INTERRUPTED, CONNECTION_KILLED, SESSION_KILLED = 1053, 1317, 1927, 3169
GOING_AWAY = frozenset({SHUTDOWN, QUERY_INTERRUPTED, CONNECTION_KILLED, SESSION_KILLED, 4031})
LINK_LOST = frozenset({0, 2003, 2006, 2013, 2014, 2055})
"""PyMySQL's own codes; 0 is an OSError."""
NO_ROOM = frozenset({TOO_MANY_CONNECTIONS, USER_CONNECTIONS, USER_LIMIT})

REPLICATION_GRANTS = {
    "mysql": "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {user};",
    "mariadb": "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO {user};",
}


def code_and_text(error: BaseException) -> tuple[int, str]:
    """The server's code, 0 if it is none, and its words."""
    if error.args and isinstance(error.args[0], int):
        return error.args[0], str(error.args[1]) if len(error.args) > 1 else ""
    return 0, str(error)


def connect_refusal(settings: ServerSettings, error: BaseException) -> CdcError:
    """Why no connection could be made."""
    what = f"connecting to the source {settings.origin}"
    cause = getattr(error, "original_exception", error)
    code, text = code_and_text(error)
    if isinstance(cause, ssl.SSLError) or code == TLS_FAILED:
        return SourceError(
            f"{what}: TLS failed: {_tls_reason(cause, text)}",
            hint="give the CA that signed the server's certificate as source.tls.ca, or set"
            " source.tls.mode to what the server can do (now: " + settings.tls.mode + ")",
        )
    if isinstance(cause, socket.gaierror):
        return Unreachable(
            f"{what}: the host name {settings.host!r} is not known",
            hint="look at source.host; is the name server reachable from here?",
        )
    if isinstance(cause, ConnectionRefusedError):
        return Unreachable(
            f"{what}: nothing listens there", hint="is the server running, and on this port?"
        )
    if isinstance(cause, TimeoutError) or "timed out" in text:
        return Unreachable(
            f"{what}: no answer within {settings.connect_timeout_seconds:g} s"
            " (connect_timeout_seconds)",
            hint="is there a firewall in between, or the server stopped?",
        )
    return _login_refusal(what, settings, code, text)


def _login_refusal(what: str, settings: ServerSettings, code: int, text: str) -> CdcError:
    if code in (ACCESS_DENIED, DATABASE_DENIED):
        return SourceError(
            f"{what}: access denied: the user or the password is wrong, or the user may not come"
            " from this host",
            hint="look at source.user and source.password, and at the server's"
            f" SHOW CREATE USER {quoted_user(settings.user, '%')};",
        )
    if code in (HOST_NOT_ALLOWED, HOST_BLOCKED):
        return SourceError(
            f"{what}: the server refuses this host: {text}",
            hint=f"CREATE USER {quoted_user(settings.user, '<this host>')} … on the server, or"
            " FLUSH HOSTS if it is blocked",
        )
    if code in (PLUGIN_NOT_LOADED, CLIENT_PLUGIN, ACCOUNT_LOCKED, PASSWORD_EXPIRED):
        return SourceError(
            f"{what}: the account can't be used: {text}",
            hint=f"ALTER USER {quoted_user(settings.user, '%')} with a plugin of this server,"
            " a new password, or ACCOUNT UNLOCK",
        )
    if code == SECURE_TRANSPORT_REQUIRED:
        return SourceError(
            f"{what}: the server takes TLS connections only", hint="set source.tls.mode: required"
        )
    if code in NO_ROOM:
        return Unreachable(
            f"{what}: the server has no connection to spare: {text}",
            hint="raise max_connections (or the user's limit), or close others",
        )
    return Unreachable(
        f"{what}: {text or 'the connection broke'} ({code})",
        hint="is the server up, and is it a MySQL or MariaDB server?",
    )


def query_refusal(settings: ServerSettings, flavor: str, doing: str, error: Exception) -> CdcError:
    """Why a statement of ours failed."""
    code, text = code_and_text(error)
    what = f"{doing} at the source {settings.origin}"
    if code in (PRIVILEGE_MISSING, ACCESS_DENIED, TABLE_DENIED):
        grant = REPLICATION_GRANTS[flavor].format(user=quoted_user(settings.user, "%"))
        return SourceError(f"{what}: {text}", hint=grant)
    if code in GOING_AWAY | LINK_LOST | NO_ROOM:
        return Unreachable(f"{what}: {text} ({code})", hint="is the server still there?")
    return SourceError(f"{what}: {text} ({code})", hint="is this version of the server known?")


def dump_refusal(settings: ServerSettings, flavor: str, code: int, text: str) -> CdcError:
    """Why the server stops sending its binlog, or never began."""
    what = f"following the binlog of {settings.origin}"
    if code in GOING_AWAY | LINK_LOST:
        return Unreachable(f"{what}: the server ended it: {text}", hint="going on when it is back")
    if code in (PRIVILEGE_MISSING, ACCESS_DENIED):
        grant = REPLICATION_GRANTS[flavor].format(user=quoted_user(settings.user, "%"))
        return SourceError(f"{what}: the user {settings.user!r} may not: {text}", hint=grant)
    if code not in (BINLOG_FAILED, SAME_SERVER_ID):
        return SourceError(f"{what}: the server refuses: {text} ({code})", hint="see its error log")
    return _binlog_refusal(what, settings, text)


_BINLOG_REFUSALS: tuple[tuple[tuple[str, ...], type[SourceError], str], ...] = (
    # What the server's words contain, what it is, what to do.
    (("same server_uuid", "same server_id", "a slave with the same"), PushedOut,
     "another replica follows this server with the same id {server_id}: stop it, or give"
     " this connector another source.server_id"),
    (("purged", "could not find first log", "log index file"), PositionLost,
     "what lies between is lost for this connector: restore the binlog files, or begin anew"
     " (a new connector name, or a checkpoint set by hand) and take a snapshot; keep binlogs"
     " longer: SET PERSIST binlog_expire_logs_seconds = 604800;"),
    (("> file size", "impossible position", "beyond the end"), PositionLost,
     "the server lost the end of its binlog (a crash without sync_binlog=1?) or was reset:"
     " compare the tables with what was published, then begin anew"),
    (("not in the master's binlog", "diverged", "more gtids than"), SourceError,
     "is this the server that the checkpoint was taken from? its binlog never had, or no longer"
     " has, this transaction"),
    (("max_allowed_packet",), SourceError, "SET GLOBAL max_allowed_packet = 1073741824;"),
    (("anonymous",), SourceError,
     "the binlog has transactions without GTID: set source.coordinates: file"),
    (("bogus data", "truncated in the middle", "event read from binlog", "corrupt"), SourceError,
     "the position is not where an event begins, or the file is damaged: try"
     " mysqlbinlog --verify-binlog-checksum on it"),
    (("not open", "binary log is not"), SourceError,
     "switch the binary log on: log_bin in my.cnf, then restart the server"),
)  # fmt: skip


def _binlog_refusal(what: str, settings: ServerSettings, text: str) -> CdcError:
    folded = text.casefold()
    for words, kind, hint in _BINLOG_REFUSALS:
        if any(word in folded for word in words):
            return kind(f"{what}: {text}", hint=hint.format(server_id=settings.server_id))
    return SourceError(f"{what}: {text}", hint="see the server's error log")


def _tls_reason(cause: BaseException, text: str) -> str:
    return getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or text
