"""The reference reader: mysql-replication behind the same source interface, slow and independent.

It follows the server with its own connection, packets and row decoding, and turns decoded rows
into change events with fastavro. Schemas come from the same plans as capture's; nothing that
reads a row's bytes is shared. What mysql-replication drops or gets wrong is refused by name, or,
for a comparison, reported as a known weakness.

    link.py → gate.py → source.py   bytes → what the library may see → decoded rows
    changes.py → told.py → step.py  decoded rows → changes → records
    weaknesses.py, values.py        what it gets wrong; Python's values in Avro's form
    comparison.py                   its changes against capture's records
"""
