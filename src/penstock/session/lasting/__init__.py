"""Sessions that outlive their links (PROTOCOL.md §9), and the proof of their clients."""

from penstock.session.lasting._lasting import LastingSession

__all__ = ["LastingSession"]
