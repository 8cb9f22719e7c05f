"""A process that hosts actors: manifests, control, listeners, history, wired together. It decides nothing about a message."""

from penstock.node._control import Control
from penstock.node._load import Search, Unloadable, load, said, shown
from penstock.node._manifest import Manifest, read_manifest
from penstock.node._node import Node

__all__ = ["Control", "Manifest", "Node", "Search", "Unloadable", "load", "read_manifest", "said", "shown"]
