"""What is said to actors and heard from them: message, request, subscribe. This module opens no channel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

import msgspec

from penstock.cli import _stdio as stdio
from penstock.cli._node._client import Node, Where, reached, show
from penstock.cli._node._shown import doing
from penstock.cli._run import OK, Unusable, one_line
from penstock.errors import ConnectionLost, DeadlineExceeded, InvalidArgument, PenstockError, Unavailable

#: Items that are written at a time, at most.
BATCH_ITEMS: Final = 256
#: How long the node may take to say what an actor is doing.
DOING_TIMEOUT_S: Final = 2.0
#: How many actors one `subscribe -` follows.
FOLLOWED_MAX: Final = 100


class Said(NamedTuple):
    """A message as it was written: an action with its parameters, or, without an action, any value."""

    action: str | None
    value: Any


class Wish(NamedTuple):
    """What `subscribe` follows of an actor: its events, when `port` is None."""

    port: str | None
    params: str | None
    buffer_size: int


async def send(where: Where, actor: str, text: str) -> int:
    """Send a message."""
    said = await read_message(text)
    async with reached(where) as node:
        letter = await _prepared(node, actor, said)
        with _noting(letter):
            await node.peer.tell(letter.address, letter.type, letter.payload)
    if where.as_json:
        show({"sent": {"to": letter.address, "id": letter.id, "type": letter.type}}, where)
    else:
        print(f"sent {one_line(letter.type)} to {one_line(letter.address)}")
    return OK


async def ask(where: Where, actor: str, text: str, timeout_s: float) -> int:
    """Ask and print the answer."""
    said = await read_message(text)
    async with reached(where) as node:
        letter = await _prepared(node, actor, said)
        with _noting(letter):
            try:
                answer = await node.peer.ask(letter.address, letter.type, letter.payload, timeout=timeout_s)
            except DeadlineExceeded as error:
                await _note_who_is_busy(node, letter, error)
                raise
    show(answer, where)
    return OK


@contextmanager
def _noting(letter: _Letter) -> Iterator[None]:
    """Add to an error that leaves it open what it means for the message."""
    try:
        yield
    except (ConnectionLost, DeadlineExceeded, Unavailable) as error:
        whom = one_line(letter.address)
        if not error.started:
            error.add_note(f"{whom} has not begun with it: it can be sent again")
        elif isinstance(error, ConnectionLost):
            error.add_note(f"{whom} may have handled it, or not: that is not known")
        elif isinstance(error, DeadlineExceeded):
            error.add_note(f"{whom} may still handle it")
        raise


async def _note_who_is_busy(node: Node, letter: _Letter, error: DeadlineExceeded) -> None:
    """Add what the actor does instead, when the node says it at once."""
    with suppress(PenstockError):
        found = await node.ask("doing", letter.address, timeout_s=DOING_TIMEOUT_S)
        error.add_note(f"it is busy with {doing(found)}" if found else "give it more time with --timeout")


class _Letter(NamedTuple):
    address: str
    id: str
    type: str
    payload: Any


async def _prepared(node: Node, actor: str, said: Said) -> _Letter:
    """Have the node find the actor, and check what is to be said to it."""
    found = await node.ask("prepare", actor, said.action, said.value)
    return _Letter(found["address"], found["id"], found["type"], found["payload"])


async def read_message(text: str) -> Said:
    """Read what is to be sent: an action with its parameters, or a plain message. Raises `Unusable`."""
    value = await given_json(text, "the message")
    if not isinstance(value, dict) or "action" not in value:
        return Said(None, value)
    action = value["action"]
    extra = sorted(value.keys() - {"action", "params"})
    if not isinstance(action, str):
        raise Unusable(f'"action" is {action!r}; it names a method')
    if extra:
        raise Unusable(f'an action has "params" beside it and nothing else, not {", ".join(map(repr, extra))}')
    return Said(action, value.get("params"))


async def given_json(text: str, what: str) -> Any:
    """Read JSON that was given as an argument; - is standard input. Raises `Unusable`."""
    data = await stdio.argument() if text == "-" else text.encode(errors="surrogateescape")
    try:
        return msgspec.json.decode(stdio.json_value(data, what))
    except InvalidArgument as error:
        quoted = "; a text is written in two pairs of quotes: '\"text\"'" if text[:1].isalpha() else ""
        raise Unusable(f"{error}{quoted}") from None


# ── subscribe ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def subscribe(where: Where, actor: str, wish: Wish) -> int:
    """Print what a port, a streaming method or the events of an actor bring."""
    names = await _names() if actor == "-" else [actor]
    params = None if wish.params is None else await given_json(wish.params, "--params")
    output = stdio.Output()
    async with output.until_broken(), reached(where) as node:
        await _follow_all([await _followed(node, name, wish, params) for name in names], output)
    return OK


async def _follow_all(followed: list[_Followed], output: stdio.Output) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for each in followed:
                group.create_task(_follow(each, output, tagged=len(followed) > 1))
    except* (PenstockError, OSError) as errors:
        raise errors.exceptions[0] from None


class _Followed(NamedTuple):
    address: str
    source: Any


async def _followed(node: Node, actor: str, wish: Wish, params: Any) -> _Followed:
    """Begin to follow a streaming method or a port of an actor; without a name, its events."""
    if wish.port is None:
        found = await node.find(actor)
        return _Followed(found["address"], node.items("events", {"actor": found["address"], "follow": True, "last": 0}))
    found = await node.ask("prepare_stream", actor, wish.port, params)
    ref = node.peer.ref(found["address"])
    if found["is_port"]:
        return _Followed(found["address"], ref.subscribe(wish.port, buffer_size=wish.buffer_size))
    stream = ref.stream(wish.port, found["payload"], buffer_size=wish.buffer_size, timeout=None)
    return _Followed(found["address"], stream)


async def _follow(followed: _Followed, output: stdio.Output, *, tagged: bool) -> None:
    """Write one actor's items; whoever reads them slowly slows the actor down as its port or stream says."""
    async with followed.source as source:
        async for batch in source.batches(BATCH_ITEMS):
            await output.write([_line(followed.address if tagged else None, item) for item in batch])


def _line(actor: str | None, item: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(item if actor is None else {"actor": actor, "item": item}))


async def _names() -> list[str]:
    """Read the ids on standard input, one a line."""
    names = [line.strip() for line in (await stdio.argument()).decode(errors="replace").splitlines() if line.strip()]
    if not names:
        raise Unusable("standard input names no actor; give one id a line")
    if len(names) > FOLLOWED_MAX:
        raise Unusable(f"standard input names {len(names)} actors; {FOLLOWED_MAX} are followed at most")
    return names
