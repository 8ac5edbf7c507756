"""The logs: topics with partitions, transactions and consumer groups; Kafka or one SQLite file."""
