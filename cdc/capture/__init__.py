"""Capture: the binlog of a MySQL or MariaDB server becomes Avro change events."""


def is_compiled() -> bool:
    """True where the hot path runs as compiled by Cython, False for its plain form."""
    from cdc.capture import decoder, rows

    return not any(str(module.__file__).endswith(".py") for module in (decoder, rows))
