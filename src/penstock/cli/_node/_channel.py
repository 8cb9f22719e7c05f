"""`penstock channel open`: a channel to an actor. Commands come from a prompt or, one a line, from a pipe."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from penstock._files import open_regular
from penstock._texts import one_line
from penstock.channel import Channel
from penstock.cli import _stdio as stdio
from penstock.cli._format import as_json, value
from penstock.cli._node._client import connected_node
from penstock.cli._node._paths import state_folder
from penstock.cli._options import NodeOptions
from penstock.cli._run import OK, USAGE, Unusable, print_notice
from penstock.errors import ChannelClosed, InvalidArgument
from penstock.service import suggest

#: The commands of the prompt, with their help.
COMMANDS: Final[Mapping[str, str]] = {
    "send": "send JSON; other text is sent as a text",
    "send --file": "send the content of a file: JSON, or else as a text",
    "close": "close the channel at once; a reason may follow",
    "exit": "close the channel; in a pipe, after the last message of the other side",
    "help": "show this list",
}
#: In a pipe, after the last command: how long the other side may be silent before the channel is closed.
SILENCE_S: Final = 3.0
#: A text that begins with one of these must be JSON.
_JSON_BEGINS: Final = ("{", "[", '"')
#: How many characters an error quotes of a line that is not a command.
_QUOTED: Final = 40
Print = Callable[[str], None]
#: States of a channel in which one side can still send.
_OPEN: Final = ("open", "half-closed")


def opening(message: str | None, file: str | None) -> Any:
    """Return the payload that the channel is opened with. Raises `Unusable`."""
    if message is not None and file is not None:
        raise Unusable("give either --message or --file, not both")
    if file is not None:
        return _file(file)
    return None if message is None else _json(message, "--message")


async def open_channel(options: NodeOptions, actor: str, payload: Any) -> int:
    """Open a channel, carry out the commands and print the messages that arrive, until one side closes it."""
    person = stdio.is_terminal(stdio.STDIN) and sys.stdout.isatty() and not options.as_json
    async with connected_node(options) as node:
        address = (await node.control.find(actor)).address
        channel: Channel[Any] = await node.peer.open_channel(address, payload)
        async with channel:
            with ExitStack() as stack:
                transcript = _Transcript(options, stack, person=person)
                transcript.opened(address, channel.accepted)
                lines = transcript.lines(address)
                return await _converse(channel, lines, transcript)


async def _converse(channel: Channel[Any], lines: AsyncIterator[str], transcript: _Transcript) -> int:
    """Run both directions until both are over. The end of the commands ends only the sending direction."""
    receiving = asyncio.ensure_future(_receive(channel, transcript))
    sending = asyncio.ensure_future(_carry_out(channel, lines, transcript))
    try:
        await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            await _finish(channel, receiving, sending.result(), transcript)
        elif receiving.exception() is None and channel.state in _OPEN:
            await _finish(channel, receiving, await sending, transcript)
        if receiving.done():
            receiving.result()
        return USAGE if transcript.mistakes else OK
    finally:
        for task in (receiving, sending):
            task.cancel()
        await asyncio.gather(receiving, sending, return_exceptions=True)


async def _finish(channel: Channel[Any], receiving: asyncio.Future[None], reason: str, transcript: _Transcript) -> None:
    """End the sending direction: a person closes the channel, a pipe reads on until the other side is silent."""
    if channel.state in _OPEN and not transcript.person:
        channel.close_send()
        await _silence(receiving, transcript)
    if channel.state in _OPEN:
        await channel.close(reason)
    await receiving


async def _silence(receiving: asyncio.Future[None], transcript: _Transcript) -> None:
    """Wait until the other side has closed the channel, or sent nothing for `SILENCE_S`."""
    before = -1
    while not receiving.done() and before != transcript.received:
        before = transcript.received
        await asyncio.wait({receiving}, timeout=SILENCE_S)
    if not receiving.done():
        transcript.remark(f"no message came for {SILENCE_S:g} s")


async def _receive(channel: Channel[Any], transcript: _Transcript) -> None:
    with suppress(ChannelClosed):  # this side closed it
        async for message in channel:
            transcript.message(message)
    transcript.closed(channel)


async def _carry_out(channel: Channel[Any], lines: AsyncIterator[str], transcript: _Transcript) -> str:
    """Carry out the commands; return the reason with which to close the channel."""
    async for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word == "exit":
            return rest.strip()
        if word == "close":
            await channel.close(rest.strip())
            return ""
        try:
            await _carry_out_one(channel, word, rest.strip(), transcript)
        except Unusable as error:
            transcript.refuse(error.message)
    return "" if transcript.person else "end of input"


async def _carry_out_one(channel: Channel[Any], word: str, rest: str, transcript: _Transcript) -> None:
    """Carry out one command that does not end the conversation. Raises `Unusable`."""
    if word == "send":
        await _send(channel, rest)
    elif word == "help":
        transcript.help()
    elif word.startswith(_JSON_BEGINS):
        line = f"{word} {rest}".strip()
        raise Unusable(f"that is not a command; did you mean: send {line[:_QUOTED]}{'…' if len(line) > _QUOTED else ''}")
    elif word:
        raise Unusable(f"unknown command {word!r}; {suggest(word, COMMANDS, 'commands')}")


async def _send(channel: Channel[Any], rest: str) -> None:
    """Send one message: JSON, a text, or the content of a file. Raises `Unusable`."""
    option, _, path = rest.partition(" ")
    if option == "--file":
        message = _file(path.strip())
    elif rest.startswith(_JSON_BEGINS):
        message = _json(rest, "the message")
    elif rest:
        message = _value(rest)
    else:
        raise Unusable("nothing to send; write: send JSON, or send --file PATH")
    try:
        await channel.send(message)
    except ChannelClosed as error:
        raise Unusable(str(error)) from None


def _value(text: str) -> Any:
    """Read JSON; any other text stands for itself."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _json(text: str, name: str) -> Any:
    try:
        return msgspec.json.decode(stdio.json_value(text.encode(errors="surrogateescape"), name))
    except InvalidArgument as error:
        raise Unusable(str(error)) from None


def _file(path: str) -> Any:
    """Read a file as JSON, as a text, or as bytes when it is not UTF-8. Raises `Unusable`."""
    try:
        with open(Path(path).expanduser(), "rb", opener=open_regular) as file:
            data = file.read(stdio.TEXT_BYTES_MAX + 1)
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > stdio.TEXT_BYTES_MAX:
        raise Unusable(f"{path} is longer than {stdio.TEXT_BYTES_MAX} bytes, too long for one message")
    try:
        return _value(data.decode())
    except UnicodeDecodeError:
        return data


class _Transcript:
    """Prints the conversation: above a prompt, as lines, or as JSON."""

    def __init__(self, options: NodeOptions, stack: ExitStack, *, person: bool) -> None:
        self._as_json = options.as_json
        self.person = person
        self.received = 0
        self.mistakes = 0  # only counted in a pipe: a person sees them
        self._print: Print = lambda text: print(text, flush=True)
        if person:
            from penstock.cli._prompt import above, have_prompt

            have_prompt()
            self._print = stack.enter_context(above())

    def lines(self, address: str) -> AsyncIterator[str]:
        """Iterate over the commands."""
        if not self.person:
            return _piped()
        from penstock.cli._prompt import typed

        return typed(
            f"{one_line(address)}> ",
            COMMANDS,
            state_folder() / "channel_lines",
            lambda: self.remark("Ctrl-D closes the channel"),
        )

    def opened(self, address: str, payload: Any) -> None:
        """Print that the channel is open, with the answer of the acceptor."""
        if self._as_json:
            self._print(as_json({"event": "opened", "actor": address, "payload": payload}))
            return
        with_what = "" if payload is None else f": {value(payload)}"
        self.remark(f"channel to {one_line(address)} is open{with_what}")
        if self.person:
            self.remark("help lists the commands; Ctrl-D closes the channel")

    def message(self, message: Any) -> None:
        """Print a message of the other side."""
        self.received += 1
        if self._as_json:
            self._print(as_json({"event": "message", "message": message}))
        else:
            self._print(f"{click.style('←', fg='cyan')} {value(message)}" if self.person else as_json(message))

    def closed(self, channel: Channel[Any]) -> None:
        """Print how the channel ended."""
        if self._as_json:
            self._print(as_json({"event": "closed", "state": channel.state, "reason": channel.reason}))
        elif channel.state in _OPEN:
            self.remark("the other side sends no more messages")
        else:
            self.remark(f"closed{': ' + one_line(channel.reason) if channel.reason else ''}")

    def help(self) -> None:
        """Print the commands."""
        for word, meaning in COMMANDS.items():
            self.remark(f"{word:12} {meaning}")

    def refuse(self, text: str) -> None:
        """Print why a command cannot be carried out."""
        if self.person:
            self._print(click.style(text, fg="red"))
        else:
            self.mistakes += 1
            print_notice(text)

    def remark(self, text: str) -> None:
        """Print a remark that is not a message of the channel."""
        if self.person:
            self._print(click.style(text, dim=True))
        else:
            print_notice(text)


async def _piped() -> AsyncIterator[str]:
    async for _number, line in stdio.lines():
        yield line.decode(errors="replace")
