"""cdc turns a MySQL or MariaDB database into a published API of events.

    MySQL ──▶ capture ──▶ change topics ──▶ translate ──▶ event topics ──▶ views ──▶ tables
              capture/        log/          translate/        log/         views/

Three stages, one loop (`loop.py`): read a batch after the last checkpoint, map it by a pure
step, write result and checkpoint together. A topic is the sink of one stage and the source
of the next.

The invariants, cited where they are kept:

1. Data and checkpoint are written together, or not at all.
2. Every record that enters ends in exactly one way: published, dropped by a named rule or
   filter, or dead-lettered with the reason. None vanishes; a value that the format can't hold
   is substituted only as documented, and counted.
3. Order per key is commit order, also through retries and dead letters.
4. An event's id is its place in the source; its revision is fixed by its first committed
   publication. A retry, a restart, a replay give the same; a lost checkpoint opens a higher
   epoch, never reuses a number.
5. A checkpoint moves forward only, and belongs to one server lineage (server identity and
   executed GTID set).
6. A row's values are decoded only by the shape that its own TABLE_MAP event gave. A table's
   description (defaults, comments, unique keys) may decorate the schema; it never decides how
   bytes are read, and DDL text is never fatal.
7. Every queue, batch, retry and wait has a named bound. Memory does not grow with the size of
   a transaction, a table or a backlog.
8. A released event schema never changes; a new version is added.
9. Secrets and excluded columns never reach a log line, an error, a metric, a dead letter or a
   topic.
"""

__version__ = "0.1.0"
