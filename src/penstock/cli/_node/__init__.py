"""The commands that talk to a node: its life, its actors, messages, channels, the history."""

from penstock.cli._node._commands import LIVE_COMMANDS
from penstock.cli._node._history_commands import HISTORY_COMMANDS

NODE_COMMANDS = (*LIVE_COMMANDS, *HISTORY_COMMANDS)

__all__ = ["NODE_COMMANDS"]
