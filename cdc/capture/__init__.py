"""Capture: the binlog of a MySQL or MariaDB server becomes Avro change events."""
