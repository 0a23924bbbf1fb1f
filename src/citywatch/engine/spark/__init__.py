"""Hosts the step on Spark: Kafka or files, parse, know what is new, the step by shard of the key, tell.

Importing this package needs PySpark; nothing else of citywatch imports it but `citywatch spark`.
"""
