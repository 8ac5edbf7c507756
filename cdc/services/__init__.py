"""Real servers for the demo, the tests and work by hand.

Each kind (`mysql`, `mariadb`, `mariadb11`, `kafka`, `registry`) is found in the same order: an
address in the environment, a Docker engine that answers, packages kept in a cache folder. Every
server listens on 127.0.0.1, keeps its data in a folder of its own and is stopped by its process
or container id alone; nothing is installed into the system.
"""

from __future__ import annotations

from cdc.services.database import DatabaseAddress, DatabaseServer
from cdc.services.kafka import KafkaServer
from cdc.services.kinds import KINDS, Kind, find
from cdc.services.mariadb import MariaDBServer
from cdc.services.mysql import MySQLServer
from cdc.services.registry import RegistryServer
from cdc.services.server import Server
from cdc.services.ways import ServiceFailed, ServiceUnavailable

__all__ = [
    "KINDS",
    "DatabaseAddress",
    "DatabaseServer",
    "KafkaServer",
    "Kind",
    "MariaDBServer",
    "MySQLServer",
    "RegistryServer",
    "Server",
    "ServiceFailed",
    "ServiceUnavailable",
    "find",
]
