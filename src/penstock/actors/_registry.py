"""The actors of a system by name and by id, the rules for names, and the bridges to the actors of peers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from penstock._patterns import compiled
from penstock.actors._ref import ActorRef, Router, checked_address
from penstock.actors.cell import Cell, Lifecycle
from penstock.errors import AlreadyExists, InvalidArgument, NotFound
from penstock.service import suggest

_PART: Final = r"(?!-|\.\.?(?:/|\Z))[A-Za-z0-9_.-]+"
_NAME: Final = re.compile(rf"{_PART}(/{_PART})*")
_OTHERS: Final = re.compile(r"[^a-z0-9_.-]")
#: Characters of a whole address: it travels with every call.
ADDRESS_MAX: Final = 256


def check_name(name: str) -> None:
    """Raise `InvalidArgument` for a name that an actor cannot have."""
    if len(name) > ADDRESS_MAX or not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name!r:.300} is not a name for an actor: up to {ADDRESS_MAX} ASCII letters, digits and _ . - in parts "
            "joined by /; a part does not begin with - and is not . or .."
        )


@lru_cache(maxsize=256)
def word_of(name: str) -> str:
    """Return the name of a class as a part of the name of an actor."""
    return _OTHERS.sub("_", name.lower())


#: The reasons of this many ended actors are kept, by address and by id, for a program that looks for one later.
ENDED_KEPT: Final = 256


class Registry:
    """The actors of one system. Their ids end with `system_id`. top: the actors without a parent, in the order of spawning."""

    def __init__(self, system_id: str) -> None:
        self.top: dict[str, Cell] = {}
        self._suffix = f"-{system_id}"
        self._by_address: dict[str, Cell] = {}
        self._by_serial: dict[int, Cell] = {}
        self._ended: dict[str, str] = {}  # address or id -> when and why the last actor with it stopped

    def __len__(self) -> int:
        return len(self._by_address)

    def is_free(self, address: str) -> bool:
        """Whether no actor has this address."""
        return address not in self._by_address

    def check_free(self, address: str) -> None:
        """Raise `AlreadyExists` for an address that an actor has."""
        if not self.is_free(address):
            raise AlreadyExists(f"there is an actor {address!r}; stop it, or choose another name")

    def check_free_below(self, prefix: str) -> None:
        """Raise `AlreadyExists` when an actor has the address `prefix`, or one below it."""
        self.check_free(prefix)
        below = next((address for address in self._by_address if address.startswith(prefix + "/")), None)
        if below is not None:
            raise AlreadyExists(f"there is an actor {below!r}, which a bridge {prefix!r} would hide; choose another prefix")

    def is_id(self, address: str) -> bool:
        """Whether an address has the form of an id of this system, of an actor that lives or not."""
        return address.endswith(self._suffix) and _serial(address) > 0

    def add(self, cell: Cell) -> None:
        """Add an actor that is spawned, also to the children of its parent."""
        self._by_address[cell.address] = cell
        self._by_serial[cell.serial] = cell
        if cell.parent is None:
            self.top[cell.address] = cell
        else:
            cell.parent.belongings.add_child(cell)

    def remove(self, cell: Cell, reason: str) -> None:
        """Remove an actor that has stopped, or was never started, and keep the time and the reason."""
        if self._by_address.get(cell.address) is cell:
            del self._by_address[cell.address]
        self._by_serial.pop(cell.serial, None)
        self._note_end(cell, f"it stopped at {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}: {reason}")
        if cell.parent is not None:
            cell.parent.belongings.discard_child(cell)
        elif self.top.get(cell.address) is cell:
            del self.top[cell.address]

    def _note_end(self, cell: Cell, text: str) -> None:
        for name in (cell.address, cell.id):
            self._ended.pop(name, None)
            self._ended[name] = text
        while len(self._ended) > 2 * ENDED_KEPT:
            del self._ended[next(iter(self._ended))]

    def family(self, cell: Cell) -> Mapping[str, Lifecycle]:
        """Return the actors with the same parent, `cell` among them, in the order they were spawned."""
        return self.top if cell.parent is None else cell.parent.belongings.children

    def find(self, address: str) -> Cell:
        """Return the actor with this name or id. Raises `NotFound`: why it stopped, or a similar name."""
        cell = self.get(address)
        if cell is None:
            raise NotFound(f"no actor {address!r} here; {self._hint(address)}", started=False)
        return cell

    def get(self, address: str) -> Cell | None:
        """Return the actor with this name or id, None when there is none."""
        cell = self._by_address.get(address)
        if cell is None and checked_address(address).endswith(self._suffix):
            cell = self._by_serial.get(_serial(address))
        return cell

    def matching(self, pattern: str) -> Iterator[Cell]:
        """Iterate over the actors whose name matches `pattern`, as `matches` says."""
        if pattern == "**":
            return iter(tuple(self._by_address.values()))
        matching = compiled(checked_address(pattern)).matches  # not in the generator: a wrong pattern raises here
        return (cell for address, cell in tuple(self._by_address.items()) if matching(address))

    def ended(self, address: str) -> str | None:
        """Return when and why the last actor with this name or id stopped; None when it runs, or nothing is known."""
        return self._ended.get(address) if self.get(address) is None else None

    def _hint(self, address: str) -> str:
        if address in self._ended:
            return self._ended[address]
        return suggest(address, list(self._by_address)) if self._by_address else "nothing was spawned"


def _serial(address: str) -> int:
    """Return the number at the beginning of an id, 0 for another text."""
    try:
        return int(address.partition("-")[0], 16)
    except ValueError:
        return 0


class Bridges:
    """The peers whose actors can be reached from here by a prefix. A prefix stays with a lost peer until another takes it."""

    def __init__(self) -> None:
        self._peers: dict[str, Router] = {}

    def add(self, prefix: str, peer: Router) -> None:
        """Let `prefix` lead to `peer`. Raises `AlreadyExists` while it leads to another live peer."""
        other = self._peers.get(prefix)
        if other is not None and other is not peer and not other._is_gone():
            raise AlreadyExists(f"{prefix!r} leads to {other!r}; choose another prefix, or close that connection")
        self._peers[prefix] = peer

    def find(self, address: str) -> ActorRef | None:
        """Return the actor of a peer that an address names, by the longest prefix above it; None without one."""
        prefix = self._prefix_of(address)
        return None if prefix is None else self._peers[prefix]._ref_shown_as(address[len(prefix) + 1 :], address)

    def check_free(self, address: str) -> None:
        """Raise `AlreadyExists` for an address that leads to a live peer."""
        prefix = self._prefix_of(address) or (address if address in self._peers else None)
        if prefix is not None and not self._peers[prefix]._is_gone():
            raise AlreadyExists(f"{address!r} is behind the bridge {prefix!r} to {self._peers[prefix]!r}; choose another name")

    def seen_from_here(self, peer: Router | None, address: str) -> str:
        """Return the address by which an actor of a peer is found from here: with the prefix of its bridge, if it has one."""
        prefix = next((prefix for prefix, bridged in self._peers.items() if bridged is peer), None)
        return address if prefix is None else f"{prefix}/{address}"

    def _prefix_of(self, address: str) -> str | None:
        """Return the longest prefix above an address, None without one."""
        above = (prefix for prefix in self._peers if address.startswith(prefix + "/"))
        return max(above, key=len, default=None)
