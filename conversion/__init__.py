"""Rows to and from the formats trainers read; one file per format."""
