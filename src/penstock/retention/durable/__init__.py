"""Retained streams in a file of SQLite, which outlive their program."""

from penstock.retention.durable._kept import StreamInFile
from penstock.retention.durable._store import Store

__all__ = ["Store", "StreamInFile"]
