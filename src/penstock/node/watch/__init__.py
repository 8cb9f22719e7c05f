"""A node as its console sees it: tables of a part at a time, and channels for a page that can only ask. It changes no actor."""

from penstock.node.watch._channels import Channels
from penstock.node.watch._watch import Watch

__all__ = ["Channels", "Watch"]
