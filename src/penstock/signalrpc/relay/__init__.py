"""The relay: the server at which peers meet. It passes their messages on, and knows nothing of streams."""

from penstock.signalrpc.relay._relay import Relay
from penstock.signalrpc.relay._rules import RelayRules, RelaySettings, Visitor

__all__ = ["Relay", "RelayRules", "RelaySettings", "Visitor"]
