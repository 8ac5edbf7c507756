"""Connector files: YAML and environment → a frozen, checked configuration."""

from cdc.config.connector import STAGES, ConnectorConfig, HttpSettings, Limits, Stage, json_schema
from cdc.config.faults import ConfigFaults, Fault
from cdc.config.load import ConnectorFile, Validator, load, load_file
from cdc.config.log import (
    ConfluentRegistry,
    EmbeddedLog,
    EmbeddedRegistry,
    KafkaLog,
    RegistryAuth,
)
from cdc.config.section import ClientTls
from cdc.config.source import FileSource, ServerSource, SourceTls
from cdc.config.topics import TopicsSection
from cdc.patterns import TablePatterns

__all__ = [
    "STAGES",
    "ClientTls",
    "ConfigFaults",
    "ConfluentRegistry",
    "ConnectorConfig",
    "ConnectorFile",
    "EmbeddedLog",
    "EmbeddedRegistry",
    "Fault",
    "FileSource",
    "HttpSettings",
    "KafkaLog",
    "Limits",
    "RegistryAuth",
    "ServerSource",
    "SourceTls",
    "Stage",
    "TablePatterns",
    "TopicsSection",
    "Validator",
    "json_schema",
    "load",
    "load_file",
]
