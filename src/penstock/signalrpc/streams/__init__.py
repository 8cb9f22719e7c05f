"""Streams of peers: how far a sender may go, and the items that wait for a reader."""

__all__: list[str] = []
