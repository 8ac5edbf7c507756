"""Options and actions of tables that no description holds, and how to step over them."""

from __future__ import annotations

from typing import Final

from cdc.capture.sql_tokens import NotUnderstood, Tokens

WITHOUT_EFFECT: Final = (
    "ALGORITHM", "LOCK", "FORCE", "ENGINE", "ROW_FORMAT", "AUTO_INCREMENT", "STATS_PERSISTENT",
    "STATS_AUTO_RECALC", "STATS_SAMPLE_PAGES", "KEY_BLOCK_SIZE", "MAX_ROWS", "MIN_ROWS",
    "AVG_ROW_LENGTH", "CHECKSUM", "COMPRESSION", "CONNECTION", "DELAY_KEY_WRITE", "ENCRYPTION",
    "INSERT_METHOD", "PACK_KEYS", "TABLESPACE", "UNION", "PAGE_COMPRESSED", "ENCRYPTED",
    "ENCRYPTION_KEY_ID", "PAGE_CHECKSUM", "TRANSACTIONAL", "ENABLE", "DISABLE", "WITH",
    "WITHOUT", "AUTOEXTEND_SIZE", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE", "NOWAIT", "WAIT",
    "SECONDARY_ENGINE_ATTRIBUTE", "START", "DATA", "PAGE_COMPRESSION_LEVEL", "STORAGE",
)  # fmt: skip
PARTITIONS: Final = (
    "PARTITION", "COALESCE", "TRUNCATE", "REORGANIZE", "EXCHANGE", "ANALYZE", "OPTIMIZE", "REBUILD",
    "REPAIR", "DISCARD", "IMPORT", "REMOVE", "SUBPARTITION",
)  # fmt: skip


def pass_option(word: str, tokens: Tokens) -> None:
    """Step over the value of an option."""
    if word in ("ENABLE", "DISABLE", "WITH", "WITHOUT"):
        tokens.take()
    elif word == "START":
        if not tokens.skip("TRANSACTION"):
            raise NotUnderstood("START is followed by something else")
    elif word not in ("FORCE", "NOWAIT"):
        if word == "DATA":
            tokens.skip("DIRECTORY")
        tokens.skip("=")
        if tokens.next.text == "(":
            tokens.group()
        else:
            tokens.take()
