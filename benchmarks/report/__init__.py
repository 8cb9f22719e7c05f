"""The results, written down: a table for people, every round for programs, a chart. Nothing here measures."""

from benchmarks.report._chart import draw
from benchmarks.report._results import Results, write

__all__ = ["Results", "draw", "write"]
