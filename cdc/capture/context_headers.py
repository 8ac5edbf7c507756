# cython: language_level=3
"""Headers that say which connector a record comes from, and what its statement's comments say."""

from __future__ import annotations

import uuid
from typing import Any

import cython

from cdc.capture.statement_context import context_of
from cdc.model import Headers

if cython.compiled:
    from cython.cimports.cdc.capture.block_writer import BlockWriter
else:
    from cdc.capture.block_writer import BlockWriter


def connector_headers(connector: str, flavor: str, run_id: str) -> Headers:
    """Debezium's headers about the connector (`extended.headers.enabled`)."""
    values = {
        "connectorLogicalName": connector,
        "taskId": "0",
        "connectorName": flavor,
        "runId": run_id,
    }
    return [(f"__debezium.context.{name}", text.encode()) for name, text in values.items()]


@cython.cclass
class ContextHeaders:
    """Those that every record of a table has now, if any are wanted."""

    def __init__(self, connector: str, settings: Any, block: BlockWriter) -> None:
        self.connector = connector
        self.block = block
        self.run_id = str(uuid.uuid4()) if settings.extended_headers_enabled else ""
        self.keys = settings.context_keys
        self.of_connector: Headers = ()
        self.of_statement: Headers = ()
        self.index = self.connector_index = -1
        """Of the block's `further`: with those of the statement, and without; -1: none."""

    def start(self, flavor: str) -> None:
        """A reading begins."""
        self.forget_statement()
        if self.run_id:
            self.of_connector = connector_headers(self.connector, flavor, self.run_id)

    def begin_block(self) -> None:
        """The block has none of these yet."""
        self.connector_index = -1
        if self.of_connector:
            self.connector_index = self.block.further_index(self.of_connector)
        self._show()

    @cython.cfunc
    @cython.exceptval(-1)
    def statement(self, text: str) -> cython.int:
        """The rows that follow are of this statement."""
        if self.keys:
            self.of_statement = context_of(text, self.keys)
            self._show()
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def forget_statement(self) -> cython.int:
        """The statement's rows are over."""
        self.of_statement = ()
        self.index = self.connector_index
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _show(self) -> cython.int:
        """Put them into the block, for the records that follow."""
        self.index = self.connector_index
        if self.of_statement:
            self.index = self.block.further_index([*self.of_connector, *self.of_statement])
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def with_key(self, name: str, key: bytes) -> cython.Py_ssize_t:
        """The index for one record that names another key as well."""
        return self.block.further_index([(name, key), *self.of_connector, *self.of_statement])
