"""Give a fresh actor what a recorded one was told, and compare what comes of it. This module never touches the recorded actor.

Fed: its messages (asked, told, and ticks of timers), in their order, one after the other, and restarts from outside. Its
children are spawned and run. Not fed, and said in the report: streams and channels, news of other actors, and answers of
actors that it does not spawn itself. Clocks, random numbers and the outside world are as they are now.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, cast, get_type_hints

import msgspec

from penstock.actors import Actor, ActorRef, ActorSystem, Message, Supervision
from penstock.actors.cell import Cell, Envelope
from penstock.codec import JSON, UNDECODABLE
from penstock.errors import FailedPrecondition, NotFound
from penstock.history._event import AS_CUT, AS_REPR, HistoryEvent, encode_event, read_line
from penstock.history._history import History
from penstock.observe import Kind

#: How long a fresh actor may take for one message, in seconds.
MESSAGE_TIMEOUT_S: Final = 10.0

_OUTCOMES: Final = frozenset({"reply", "error", "crashed"})
#: What is not fed, and what it is called in the report.
_NOT_FED: Final = {
    "stream_started": "streams",
    "channel_opened": "channels",
    "channel_message": "messages of channels",
    "timer": "ticks that were left out",
    "dropped": "messages that were dropped",
    "unrecorded": "gaps in the history",
}
_NEWS: Final = "news of other actors"
#: A replayed actor crashes as often as the recorded one did, without waiting.
_PATIENT: Final = Supervision(max_restarts=1, within=0.0, backoff=0.0)


class Divergence(msgspec.Struct, frozen=True):
    """Where a replay came out otherwise. expected, got: ``{"kind": …, **data}``, or None when nothing came."""

    offset: int
    expected: Any
    got: Any


class Replay(msgspec.Struct, frozen=True):
    """What a replay found.

    since: the event with which it begins, the actor's last `spawned`. recorded: messages since then. events: how many of them
    were fed. compared: the outcomes that were compared, all as recorded but that of `divergence`, the first other one, or None.
    left_out: what could not be fed, and how often. stopped: why the replay could not go on to the end, or None.
    """

    actor: str
    events: int
    divergence: Divergence | None
    left_out: dict[str, int]
    stopped: str | None
    since: int = 0
    recorded: int = 0
    compared: int = 0


async def replay(history: History, actor: str, cls: type[Actor] | None = None) -> Replay:
    """Replay an actor from its last `spawned` event on, in an `ActorSystem` of its own.

    What it logs is marked with "(replay)". cls: its class; None imports the recorded one. Raises `NotFound` when no `spawned`
    event of it is in the history, and `FailedPrecondition` when it cannot be made: its class cannot be imported, or an argument
    of it was not kept. Cancelling it stops the fresh actor.
    """
    spawned = await history.events(actor, kinds=["spawned"], limit=1, last=True)
    if not spawned:
        raise NotFound(f"the history {history.path} has no `spawned` event of {actor!r}, from which a replay begins")
    (begin,) = spawned
    try:
        made = cls or _import_class(begin.data["actor"])
        args, kwargs = _converted_arguments(made.__init__, begin.data["args"], begin.data["kwargs"])
    except _NotReplayable as error:
        raise FailedPrecondition(f"{actor!r} cannot be made again as event {begin.offset} says: {error}") from error
    outcomes = _Outcomes(actor)
    async with _ReplaySystem(tap=outcomes) as system:
        run = _Replayer(system, outcomes, actor)
        try:
            with _marking():
                await system.spawn(made, *args, name=actor, supervision=_PATIENT, **kwargs)
        except Exception as error:  # noqa: BLE001 - it is the finding
            run.divergence = Divergence(begin.offset, {"kind": "spawned"}, _crash(error))
        await run.all(history, begin.offset + 1)
        return Replay(actor, run.fed, run.divergence, dict(run.left_out), run.stopped, begin.offset, run.recorded, run.compared)


#: True where a replayed actor runs.
_replaying: Final = ContextVar("penstock_replaying", default=False)


@contextmanager
def _marking() -> Iterator[None]:
    token = _replaying.set(True)
    try:
        yield
    finally:
        _replaying.reset(token)


def _mark(record: logging.LogRecord) -> bool:
    """Tell what a replayed actor logs from what the recorded one did."""
    if _replaying.get():
        record.msg = f"(replay) {record.msg}"
    return True


logging.getLogger("penstock.actor").addFilter(_mark)


class _NotReplayable(Exception):
    """What would have to be fed is not in the history, or is not what the actor takes."""


class _Outcomes:
    """A tap that keeps what came of the messages of one actor, in the form in which it would have been recorded."""

    full = False

    def __init__(self, actor: str) -> None:
        self._actor = actor
        self.found: deque[dict[str, Any]] = deque()

    def record(self, actor: str, kind: Kind, data: dict[str, Any]) -> None:
        if actor == self._actor and kind in _OUTCOMES:
            event = read_line(encode_event(0, 0.0, actor, kind, data)).event(b"")
            self.found.append(_outcome(event))

    async def room(self) -> None:
        """There is always room."""


class _StillLoop:
    """The loop, without its clock: timers of a replayed actor tick when the recorded ones did."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_at(self, when: float, *_: Any) -> asyncio.TimerHandle:
        return asyncio.TimerHandle(when, _nothing, (), self._loop)

    def call_later(self, delay: float, *_: Any) -> asyncio.TimerHandle:
        return self.call_at(self._loop.time() + delay)


class _ReplaySystem(ActorSystem):
    """Where a replayed actor lives. `outside` is whom it looked for and did not find."""

    def __init__(self, *, tap: _Outcomes) -> None:
        super().__init__("replay", tap=tap)
        self.outside: str | None = None
        self._still = cast("asyncio.AbstractEventLoop", _StillLoop())
        self.context.run(_replaying.set, True)  # noqa: FBT003 - it takes no keywords

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._still

    def ref(self, address: str) -> ActorRef:
        try:
            return super().ref(address)
        except NotFound:
            self.outside = address
            raise


class _Replayer:
    """One pass over the recorded events."""

    def __init__(self, system: _ReplaySystem, outcomes: _Outcomes, actor: str) -> None:
        self._system, self._outcomes, self._actor = system, outcomes, actor
        self._crashed = False
        self.fed = self.recorded = self.compared = 0
        self.left_out: Counter[str] = Counter()
        self.divergence: Divergence | None = None
        self.stopped: str | None = None

    async def all(self, history: History, since: int) -> None:
        """Go on until the actor stopped or the history ends; from a difference, or where there is no going on, only count."""
        async with history.stream(self._actor, since=since, follow=False) as events:
            async for event in events:
                self.recorded += event.kind == "message" and event.data["via"] != "system"
                if self.divergence is None and self.stopped is None:
                    await self._event(event)
                if event.kind == "stopped":
                    return

    async def _event(self, event: HistoryEvent) -> None:
        if event.kind in _NOT_FED:
            self.left_out[_NOT_FED[event.kind]] += 1
        elif event.kind == "message":
            await self._message(event)
        elif event.kind in _OUTCOMES:
            self._compare(event)
        elif event.kind == "restarted":
            if not self._crashed:  # somebody wanted it
                await self._system.restart(self._actor)
            self._crashed = False

    async def _message(self, event: HistoryEvent) -> None:
        if self._outcomes.found and not self.left_out[_NEWS]:
            self.divergence = Divergence(event.offset, None, self._outcomes.found[0])
            return
        self._outcomes.found.clear()
        cell = self._system.cell(self._actor)
        if event.data["via"] == "system":  # news of others: those who are its children bring their own
            self.left_out[_NEWS] += 1
            return
        try:
            envelope = _envelope(cell, event)
        except _NotReplayable as error:
            self.stopped = f"event {event.offset} cannot be fed: {error}"
            return
        self.fed += 1
        try:
            async with asyncio.timeout(MESSAGE_TIMEOUT_S):
                await _handled(cell, envelope)
        except TimeoutError:
            self.stopped = f"event {event.offset}, {event.data['type']!r}, was not handled within {MESSAGE_TIMEOUT_S:g} s"
            return
        if self._system.outside is not None:
            text = f"event {event.offset}, {event.data['type']!r}, needs {self._system.outside!r}, which answers in no replay"
            self.stopped = text

    def _compare(self, event: HistoryEvent) -> None:
        self._crashed = event.kind == "crashed"
        if self.left_out[_NEWS] and not self._outcomes.found:
            return  # the outcome of news that were not fed
        expected = _outcome(event)
        got = self._outcomes.found.popleft() if self._outcomes.found else None
        self.compared += 1
        if expected != got:
            self.divergence = Divergence(event.offset, expected, got)


def _outcome(event: HistoryEvent) -> dict[str, Any]:
    """Return what came of a message, without its number: those that are not fed count too."""
    return {"kind": event.kind, **{key: value for key, value in event.data.items() if key != "n"}}


def _crash(error: Exception) -> dict[str, Any]:
    return {"kind": "crashed", "error": type(error).__name__, "text": str(error)}


def _envelope(cell: Cell, event: HistoryEvent) -> Envelope:
    """Make the recorded message once more."""
    data = event.data
    name, args, kwargs = data["type"], data["args"], data.get("kwargs", {})
    if data["via"] in {"tell", "ask"}:  # its type is anybody's word: only what could be told or asked is called
        if name not in cell.service.methods and "receive" in cell.hooks:
            name, args = "receive", [_message(args)]
        known = name in cell.service.methods or name == "receive"
    else:
        known = inspect.iscoroutinefunction(getattr(cell.cls, name, None))
    if not known:
        raise _NotReplayable(f"{cell.cls.__qualname__} has no method {name!r} any more")
    args, kwargs = _converted_arguments(getattr(cell.cls, name), args, kwargs)
    reply = asyncio.get_running_loop().create_future()
    return Envelope(cell, name, args, kwargs, data["via"], reply=reply, sender=data.get("sender"))


def _message(args: list[Any]) -> Message:
    return Message(args[0]["type"], args[0]["payload"], args[0]["sender"])


async def _handled(cell: Cell, envelope: Envelope) -> None:
    """Have a message handled, and what follows from it, a restart as well."""
    envelope.reply.add_done_callback(asyncio.Future.exception)  # it is recorded; nothing else needs it, in time or late
    cell.post(envelope)
    await asyncio.wait([envelope.reply])
    while cell.task is not None:
        await asyncio.wait([cell.task])


def _converted_arguments(function: Any, args: list[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return recorded arguments as the types that a method declares."""
    if _is_marked([args, dict(kwargs)]):
        raise _NotReplayable("an argument was too long for the history, or could not be encoded")
    hints = _hints(function)
    try:
        bound = inspect.signature(function).bind(None, *args, **kwargs)
        for name, value in bound.arguments.items():
            if name in hints and not isinstance(value, Message):
                bound.arguments[name] = JSON.decode_for(hints[name]).value(JSON.encode(value))
    except UNDECODABLE as error:
        raise _NotReplayable(f"{getattr(function, '__qualname__', function)}: {error}") from error
    return bound.args[1:], bound.kwargs


def _hints(function: Any) -> dict[str, Any]:
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # hints that only a type checker can read
        return {}
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {
        name: hints[name]
        for name, one in inspect.signature(function).parameters.items()
        if name in hints and one.kind not in many
    }


def _is_marked(value: Any) -> bool:
    """Say whether a part of a recorded value is not the value itself."""
    if isinstance(value, dict):
        return (len(value) == 1 and next(iter(value)) in {AS_REPR, AS_CUT}) or any(map(_is_marked, value.values()))
    return isinstance(value, list) and any(map(_is_marked, value))


def _import_class(spec: str) -> type[Actor]:
    """Import a recorded class, "module:Class"."""
    module, _, name = spec.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise _NotReplayable(f"{spec} cannot be imported ({error}); give the class") from error
    return cast("type[Actor]", found)


def _nothing() -> None:
    """What a timer does that never ticks."""
