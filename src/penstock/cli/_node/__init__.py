"""The verbs of a node: its life, its actors, what they say, what has happened to them. No other folder imports it."""

from penstock.cli._node._records import RECORDS
from penstock.cli._node._verbs import VERBS as _LIVE

VERBS = (*_LIVE, *RECORDS)

__all__ = ["VERBS"]
