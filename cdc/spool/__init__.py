"""The spool: the binlog kept on disk while the log is away, a relay log (docs/spool.md)."""
