"""What comes to the actors from other processes. It opens no connection."""

from penstock.actors.arrivals._targets import arrive

__all__ = ["arrive"]
