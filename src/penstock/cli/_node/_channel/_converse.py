"""`penstock channel open`: an outside client as a participant. Commands come from a prompt or, line by line, from a pipe."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from penstock.channel import Channel
from penstock.cli import _stdio as stdio
from penstock.cli._node._client import Where, reached
from penstock.cli._node._place import state_folder
from penstock.cli._node._shown import as_json, value
from penstock.cli._run import OK, USAGE, Unusable, one_line, tell
from penstock.errors import ChannelClosed, InvalidArgument
from penstock.service import suggest

#: What the prompt takes, with what it is for.
COMMANDS: Final[Mapping[str, str]] = {
    "send": "send JSON; what does not begin like JSON is sent as a text",
    "send --file": "send what a file holds: JSON, or its text",
    "close": "close the channel at once, with a reason if you like",
    "exit": "leave; in a pipe, after the other side's last word",
    "help": "show this",
}
#: In a pipe, after the last command: how long the other side may say nothing before the channel is closed.
SILENCE_S: Final = 3.0
#: What begins with one of these is meant as JSON.
_JSON_BEGINS: Final = ("{", "[", '"')
#: How much of a line that is no command is quoted.
_QUOTED: Final = 40
Say = Callable[[str], None]
#: States of a channel on which something can still be said.
_OPEN: Final = ("open", "half-closed")


def opening(message: str | None, file: str | None) -> Any:
    """Return what the channel is opened with. Raises `Unusable`."""
    if message is not None and file is not None:
        raise Unusable("give either --message or --file: a channel is opened with one value")
    if file is not None:
        return _file(file)
    return None if message is None else _json(message, "--message")


async def open_channel(where: Where, actor: str, payload: Any) -> int:
    """Open a channel, then send what is commanded and print what arrives, until one side closes it."""
    person = stdio.is_terminal(stdio.STDIN) and sys.stdout.isatty() and not where.as_json
    async with reached(where) as node:
        found = await node.find(actor)
        channel: Channel[Any] = await node.peer.open_channel(found["address"], payload)
        async with channel:
            with ExitStack() as stack:
                teller = _Teller(where, stack, person=person)
                teller.opened(found["address"], channel.accepted)
                lines = teller.lines(found["address"])
                return await _converse(channel, lines, teller)


async def _converse(channel: Channel[Any], lines: AsyncIterator[str], teller: _Teller) -> int:
    """Run both directions until both are over; the end of the commands ends what is sent, not what arrives."""
    hearing = asyncio.ensure_future(_hear(channel, teller))
    speaking = asyncio.ensure_future(_speak(channel, lines, teller))
    try:
        await asyncio.wait({hearing, speaking}, return_when=asyncio.FIRST_COMPLETED)
        if speaking.done():
            await _finish(channel, hearing, speaking.result(), teller)
        elif hearing.exception() is None and channel.state in _OPEN:
            await _finish(channel, hearing, await speaking, teller)
        if hearing.done():
            hearing.result()
        return USAGE if teller.mistakes else OK
    finally:
        for task in (hearing, speaking):
            task.cancel()
        await asyncio.gather(hearing, speaking, return_exceptions=True)


async def _finish(channel: Channel[Any], hearing: asyncio.Future[None], reason: str, teller: _Teller) -> None:
    """Nothing more is said here: a person leaves, a pipe hears what the other side still says."""
    if channel.state in _OPEN and not teller.person:
        channel.close_send()
        await _silence(hearing, teller)
    if channel.state in _OPEN:
        await channel.close(reason)
    await hearing


async def _silence(hearing: asyncio.Future[None], teller: _Teller) -> None:
    """Wait until the other side has closed, or said nothing for `SILENCE_S`."""
    heard = -1
    while not hearing.done() and heard != teller.heard:
        heard = teller.heard
        await asyncio.wait({hearing}, timeout=SILENCE_S)
    if not hearing.done():
        teller.aside(f"nothing came for {SILENCE_S:g} s")


async def _hear(channel: Channel[Any], teller: _Teller) -> None:
    with suppress(ChannelClosed):  # by this side
        async for message in channel:
            teller.message(message)
    teller.closed(channel)


async def _speak(channel: Channel[Any], lines: AsyncIterator[str], teller: _Teller) -> str:
    """Do what the lines say; return the reason for which the channel is left."""
    async for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word == "exit":
            return rest.strip()
        if word == "close":
            await channel.close(rest.strip())
            return ""
        try:
            await _obey(channel, word, rest.strip(), teller)
        except Unusable as error:
            teller.wrong(error.message)
    return "" if teller.person else "end of input"


async def _obey(channel: Channel[Any], word: str, rest: str, teller: _Teller) -> None:
    if word == "send":
        await _send(channel, rest)
    elif word == "help":
        teller.help()
    elif word.startswith(_JSON_BEGINS):
        line = f"{word} {rest}".strip()
        raise Unusable(f"that is no command; did you mean: send {line[:_QUOTED]}{'…' if len(line) > _QUOTED else ''}")
    elif word:
        raise Unusable(f"there is no {word!r}; {suggest(word, list(COMMANDS))}")


async def _send(channel: Channel[Any], rest: str) -> None:
    option, _, path = rest.partition(" ")
    if option == "--file":
        message = _file(path.strip())
    elif rest.startswith(_JSON_BEGINS):
        message = _json(rest, "what is to be sent")
    elif rest:
        message = _value(rest)
    else:
        raise Unusable("send what? send JSON, or send --file PATH")
    try:
        await channel.send(message)
    except ChannelClosed as error:
        raise Unusable(str(error)) from None


def _value(text: str) -> Any:
    """Read JSON; what is none is a text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _json(text: str, what: str) -> Any:
    try:
        return msgspec.json.decode(stdio.json_value(text.encode(errors="surrogateescape"), what))
    except InvalidArgument as error:
        raise Unusable(str(error)) from None


def _file(path: str) -> Any:
    try:
        with Path(path).expanduser().open("rb") as file:
            data = file.read(stdio.TEXT_BYTES_MAX + 1)
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > stdio.TEXT_BYTES_MAX:
        raise Unusable(f"{path} is longer than {stdio.TEXT_BYTES_MAX} bytes, too long for one message")
    try:
        return _value(data.decode())
    except UnicodeDecodeError:
        return data


class _Teller:
    """Says what happens: above a prompt, as lines, or as JSON."""

    def __init__(self, where: Where, stack: ExitStack, *, person: bool) -> None:
        self._as_json = where.as_json
        self.person = person
        self.heard = 0
        self.mistakes = 0  # of a pipe: a person sees them
        self._say: Say = lambda text: print(text, flush=True)
        if person:
            from penstock.cli._node._channel._prompt import above, have_prompt

            have_prompt()
            self._say = stack.enter_context(above())

    def lines(self, address: str) -> AsyncIterator[str]:
        """Iterate over the commands."""
        if not self.person:
            return _piped()
        from penstock.cli._node._channel._prompt import typed

        return typed(
            f"{one_line(address)}> ", COMMANDS, state_folder() / "channel_lines", lambda: self.aside("Ctrl-D or exit leaves")
        )

    def opened(self, address: str, payload: Any) -> None:
        """The channel is open."""
        if self._as_json:
            self._say(as_json({"event": "opened", "actor": address, "payload": payload}))
            return
        with_what = "" if payload is None else f": {value(payload)}"
        self.aside(f"channel to {one_line(address)} is open{with_what}")
        if self.person:
            self.aside("help shows what you can do; Ctrl-D leaves")

    def message(self, message: Any) -> None:
        """A message arrived."""
        self.heard += 1
        if self._as_json:
            self._say(as_json({"event": "message", "message": message}))
        else:
            self._say(f"{click.style('←', fg='cyan')} {value(message)}" if self.person else as_json(message))

    def closed(self, channel: Channel[Any]) -> None:
        """The channel is closed."""
        if self._as_json:
            self._say(as_json({"event": "closed", "state": channel.state, "reason": channel.reason}))
        elif channel.state in _OPEN:
            self.aside("the other side sends nothing more")
        else:
            self.aside(f"closed{': ' + one_line(channel.reason) if channel.reason else ''}")

    def help(self) -> None:
        """Show the commands."""
        for word, meaning in COMMANDS.items():
            self.aside(f"{word:12} {meaning}")

    def wrong(self, text: str) -> None:
        """A command cannot be obeyed."""
        if self.person:
            self._say(click.style(text, fg="red"))
        else:
            self.mistakes += 1
            tell(text)

    def aside(self, text: str) -> None:
        """Say something that is no message."""
        if self.person:
            self._say(click.style(text, dim=True))
        else:
            tell(text)


async def _piped() -> AsyncIterator[str]:
    async for _number, line in stdio.lines():
        yield line.decode(errors="replace")
