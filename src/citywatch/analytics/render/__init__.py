"""Answers as JSON and CSV for programs, as a table for a terminal, as a page for the printer."""
