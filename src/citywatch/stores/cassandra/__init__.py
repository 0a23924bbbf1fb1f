"""Cassandra for look-ups at scale: tables made for the questions that people ask, filled from log and desk.

`tables` says what there is, `rows` and `alert_rows` make rows, `relay` keeps them up with an engine, `reading` gives
them back to reports.
"""
