"""The actors of a system, by name and by id, and who belongs to whom. It starts and stops nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from penstock.actors._ref import ActorRef, Router
from penstock.actors.cell import Cell
from penstock.errors import AlreadyExists, InvalidArgument, NotFound
from penstock.service import suggest

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_OTHERS: Final = re.compile(r"[^a-z0-9_.-]")
#: Characters of a whole address: it travels with every call.
ADDRESS_MAX: Final = 256


def check_name(name: str) -> None:
    """Raise `InvalidArgument` for a name that no actor can have."""
    if len(name) > ADDRESS_MAX or not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name!r:.300} is no name for an actor: up to {ADDRESS_MAX} letters, digits and _ . - in parts joined by /"
        )


@lru_cache(maxsize=256)
def word_of(name: str) -> str:
    """Return the name of a class as a part of the name of an actor."""
    return _OTHERS.sub("_", name.lower())


def matches(pattern: str, address: str) -> bool:
    """Whether an address fits: ``*`` is anything within one part, ``?`` one character, ``**`` any number of parts."""
    return _compiled(pattern).fullmatch(address) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    pieces = re.split(r"(/\*\*/|^\*\*/|/\*\*$|\*\*|\*|\?)", pattern)
    meanings = {"/**/": "/(?:.+/)?", "**/": "(?:.+/)?", "/**": "/.+", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meanings.get(piece, re.escape(piece)) for piece in pieces))


#: Of how many actors it is known why they stopped, for who asks for them later.
ENDED_KEPT: Final = 256


class Registry:
    """Which actors there are. Their ids end with `system_id`."""

    def __init__(self, system_id: str) -> None:
        self.top: dict[str, Cell] = {}  # those without a parent, in the order they were spawned
        self._suffix = f"-{system_id}"
        self._by_address: dict[str, Cell] = {}
        self._by_serial: dict[int, Cell] = {}
        self._ended: dict[str, str] = {}  # why those that are no more have stopped

    def __len__(self) -> int:
        return len(self._by_address)

    def is_free(self, address: str) -> bool:
        """Whether no actor has this address."""
        return address not in self._by_address

    def check_free(self, address: str) -> None:
        """Raise `AlreadyExists` for an address that an actor has."""
        if not self.is_free(address):
            raise AlreadyExists(f"there is an actor {address!r}; stop it, or choose another name")

    def add(self, cell: Cell) -> None:
        """Here is a new one."""
        self._by_address[cell.address] = cell
        self._by_serial[cell.serial] = cell
        if cell.parent is None:
            self.top[cell.address] = cell
            return
        if cell.parent.children is None:
            cell.parent.children = {}
        cell.parent.children[cell.address] = cell

    def remove(self, cell: Cell) -> None:
        """This one has stopped, or never began."""
        if self._by_address.get(cell.address) is cell:
            del self._by_address[cell.address]
        self._by_serial.pop(cell.serial, None)
        self._ended[cell.address] = cell.stopping
        if len(self._ended) > ENDED_KEPT:
            del self._ended[next(iter(self._ended))]
        family = self.family(cell)
        if family.get(cell.address) is cell:
            del family[cell.address]

    def family(self, cell: Cell) -> dict[str, Cell]:
        """Return an actor and its siblings, in the order they were spawned."""
        return self.top if cell.parent is None else cell.parent.children or {}

    def find(self, address: str) -> Cell:
        """Find an actor by name or id. Raises `NotFound`, with what may have been meant."""
        cell = self.get(address)
        if cell is None:
            raise NotFound(f"there is no actor {address!r} here; {self._meant(address)}", started=False)
        return cell

    def get(self, address: str) -> Cell | None:
        """Find an actor by name or id; None when there is none."""
        cell = self._by_address.get(address)
        if cell is None and address.endswith(self._suffix):
            cell = self._by_serial.get(_serial(address))
        return cell

    def fitting(self, pattern: str) -> Iterator[Cell]:
        """Iterate over the actors whose name fits: ``*`` within one part of it, ``**`` over any number of parts."""
        return (cell for address, cell in tuple(self._by_address.items()) if matches(pattern, address))

    def _meant(self, address: str) -> str:
        if self._ended.get(address):
            return f"it has stopped: {self._ended[address]}"
        return suggest(address, list(self._by_address)) if self._by_address else "nothing was spawned"


def _serial(address: str) -> int:
    """Return the number in an id, 0 for something else."""
    try:
        return int(address.partition("-")[0], 16)
    except ValueError:
        return 0


class Bridges:
    """Which prefix leads to which peer; one whose connection is gone says so, until another takes its place."""

    def __init__(self) -> None:
        self._peers: dict[str, Router] = {}

    def add(self, prefix: str, peer: Router) -> None:
        """Let `prefix` lead to `peer`. Raises `AlreadyExists` while it leads to another live one."""
        other = self._peers.get(prefix)
        if other is not None and other is not peer and not other._is_gone():
            raise AlreadyExists(f"{prefix!r} leads to {other!r}; choose another prefix, or close that connection")
        self._peers[prefix] = peer

    def find(self, address: str) -> ActorRef | None:
        """Return the actor elsewhere that an address names; None when it names none."""
        for prefix, peer in self._peers.items():
            if address.startswith(prefix + "/"):
                return peer._ref_shown_as(address[len(prefix) + 1 :], address)
        return None

    def seen_from_here(self, peer: Router | None, address: str) -> str:
        """Return the address of an actor of a peer as it is found from here: with the prefix of its bridge, if it has one."""
        prefix = next((prefix for prefix, bridged in self._peers.items() if bridged is peer), None)
        return address if prefix is None else f"{prefix}/{address}"
