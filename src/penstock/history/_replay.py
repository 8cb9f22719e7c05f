"""Replay: give a fresh actor the recorded messages of an actor, and compare the outcomes. The live actor is not involved.

The fresh actor gets the recorded messages (asks, tells and ticks of timers) in their order, one after the other, and restarts
from outside. Its children are spawned and run. It does not get streams and channels, news of other actors, and answers of
actors that it did not spawn; the report counts these. Clocks, random numbers and the outside world are the present ones.
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
from typing import Any, Final, cast

import msgspec

from penstock._outcomes import text_of
from penstock.actors import Actor, ActorHost, ActorRef, ActorSystem, Message, Router, Supervision
from penstock.actors.cell import Cell, Envelope
from penstock.codec import UNDECODABLE, Inexact, keeps, restored, typed
from penstock.errors import FailedPrecondition, NotFound
from penstock.history._event import AS_CUT, AS_REPR, HistoryEvent, encode_event, read_line
from penstock.history._history import History
from penstock.observe import Kind, Tap
from penstock.service import hints_of

#: How long a fresh actor may take for one message, in seconds.
MESSAGE_TIMEOUT_S: Final = 10.0

_OUTCOMES: Final = frozenset({"reply", "error", "crashed"})
#: The kinds of events that are not fed, and their names in the report.
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
    """The first difference between a recording and its replay.

    offset: the recorded event. expected, got: the recorded and the new outcome, ``{"kind": …, **data}``; None for no outcome.
    """

    offset: int
    expected: Any
    got: Any


class Replay(msgspec.Struct, frozen=True):
    """The result of a replay.

    since: the offset at which it begins, the last ``spawned`` event of the actor. recorded: how many messages were recorded
    since then. events: how many of them were fed. compared: how many outcomes were compared; all were equal to the recorded
    ones but that of `divergence`, the first difference, or None. left_out: kinds of events that could not be fed, and how many
    of each. stopped: the reason why the replay could not continue to the end, or None.
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
    """Replay an actor from its last ``spawned`` event on, in an `ActorSystem` of its own, and return the result.

    history: an open one. actor: its address. cls: the class of the actor; None imports the recorded one. Log messages of the
    fresh actor are marked with "(replay)". Raises `NotFound` when the history has no ``spawned`` event of the actor, and
    `FailedPrecondition` when the actor cannot be made: its class cannot be imported, or an argument was not kept. A difference
    is a result, not an error. Cancelling it stops the fresh actor.
    """
    spawned = await history.events(actor, kinds=["spawned"], limit=1, last=True)
    if not spawned:
        raise NotFound(f"the history {history.path} has no `spawned` event of {actor!r}, at which a replay begins")
    (begin,) = spawned
    try:
        actor_class = cls or _import_class(begin.data["actor"])
        args, kwargs = _converted_arguments(actor_class, "__init__", begin.data["args"], begin.data["kwargs"])
    except _NotReplayable as error:
        raise FailedPrecondition(f"{actor!r} cannot be spawned again from event {begin.offset}: {text_of(error)}") from error
    outcomes = _Outcomes(actor)
    async with _ReplaySystem(tap=outcomes) as system:
        run = _Replayer(system, outcomes, actor)
        try:
            with _marking():
                await system.spawn(actor_class, *args, name=actor, supervision=_PATIENT, **kwargs)
        except Exception as error:  # noqa: BLE001 - any error is a result
            run.divergence = Divergence(begin.offset, {"kind": "spawned"}, _crash(error))
        await run.all(history, begin.offset + 1)
        return Replay(actor, run.fed, run.divergence, dict(run.left_out), run.stopped, begin.offset, run.recorded, run.compared)


#: True in the context of a replayed actor.
_replaying: Final = ContextVar("penstock_replaying", default=False)


@contextmanager
def _marking() -> Iterator[None]:
    token = _replaying.set(True)
    try:
        yield
    finally:
        _replaying.reset(token)


def _mark(record: logging.LogRecord) -> bool:
    """Mark the log messages of a replayed actor."""
    if _replaying.get():
        record.msg = f"(replay) {record.msg}"
    return True


logging.getLogger("penstock.actor").addFilter(_mark)


class _NotReplayable(Exception):
    """A recorded value is not complete, or the present code of the actor does not accept it."""


class _Outcomes:
    """A tap that stores the outcomes of the messages of one actor, in their recorded form."""

    full = False

    def __init__(self, actor: str) -> None:
        self._actor = actor
        self.outcomes: deque[tuple[dict[str, Any], Any]] = deque()  # as recorded, and the data themselves

    def record(self, actor: str, kind: Kind, data: dict[str, Any]) -> None:
        if actor == self._actor and kind in _OUTCOMES:
            event = read_line(encode_event(0, 0.0, actor, kind, data)).event(b"")
            self.outcomes.append((_outcome(event), data))

    async def room(self) -> None:
        """There is always room."""


class _StillLoop:
    """The event loop without timers: the timers of a replayed actor tick when the recorded ones did."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_at(self, when: float, *_: Any) -> asyncio.TimerHandle:
        return asyncio.TimerHandle(when, _nothing, (), self._loop)

    def call_later(self, delay: float, *_: Any) -> asyncio.TimerHandle:
        return self.call_at(self._loop.time() + delay)


class _ReplayHost(ActorHost):
    """The inside of the system of a replayed actor: its loop has no clock."""

    def __init__(self, face: Router, tap: Tap | None, supervision: Supervision) -> None:
        super().__init__(face, tap, supervision)
        self._still = cast("asyncio.AbstractEventLoop", _StillLoop())
        self.context.run(_replaying.set, True)  # noqa: FBT003 - it takes no keywords

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._still


class _ReplaySystem(ActorSystem):
    """The system of a replayed actor. outside: the address of an actor that it looked up and that is not here, or None."""

    _host_type = _ReplayHost

    def __init__(self, *, tap: _Outcomes) -> None:
        super().__init__("replay", tap=tap)
        self.outside: str | None = None

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
        """Feed events until the actor stopped or the history ends. After a difference or an obstacle, only count."""
        async with history.stream(self._actor, since=since, follow=False) as events:
            async for event in events:
                self.recorded += event.kind == "message" and event.data["via"] != "system"
                if self.divergence is None and self.stopped is None:
                    await self._event(event)
                if event.kind == "stopped":
                    return

    async def _event(self, event: HistoryEvent) -> None:
        """Feed or compare an event, or note why that is not possible."""
        try:
            await self._take(event)
        except RecursionError:
            self.stopped = f"event {event.offset} has a value that is nested too deeply"

    async def _take(self, event: HistoryEvent) -> None:
        if event.kind in _NOT_FED:
            self.left_out[_NOT_FED[event.kind]] += 1
        elif event.kind == "message":
            await self._message(event)
        elif event.kind in _OUTCOMES:
            self._compare(event)
        elif event.kind == "restarted":
            if not self._crashed:  # the restart was requested from outside
                await self._system.restart(self._actor)
            self._crashed = False

    async def _message(self, event: HistoryEvent) -> None:
        """Feed one recorded message and wait until it is handled, or note why that is not possible."""
        if self._outcomes.outcomes and not self.left_out[_NEWS]:
            self.divergence = Divergence(event.offset, None, self._outcomes.outcomes[0][0])
            return
        self._outcomes.outcomes.clear()
        cell = self._system._host.cell(self._actor)
        if event.data["via"] == "system":  # news of other actors: replayed children send their own
            self.left_out[_NEWS] += 1
            return
        try:
            envelope = _envelope(cell, event)
        except _NotReplayable as error:
            self.stopped = f"event {event.offset} cannot be fed: {text_of(error)}"
            return
        self.fed += 1
        try:
            async with asyncio.timeout(MESSAGE_TIMEOUT_S):
                await _handled(cell, envelope)
        except TimeoutError:
            self.stopped = f"event {event.offset}, {event.data['type']!r}, was not handled within {MESSAGE_TIMEOUT_S:g} s"
            return
        if self._system.outside is not None:
            text = (
                f"event {event.offset}, {event.data['type']!r}, needs {self._system.outside!r}, which is not part of a replay"
            )
            self.stopped = text

    def _compare(self, event: HistoryEvent) -> None:
        self._crashed = event.kind == "crashed"
        if self.left_out[_NEWS] and not self._outcomes.outcomes:
            return  # the outcome of news that was not fed
        expected = _outcome(event)
        got, live = self._outcomes.outcomes.popleft() if self._outcomes.outcomes else (None, None)
        self.compared += 1
        if expected != got and _ordered(expected, live) != _ordered(got, live):
            self.divergence = Divergence(event.offset, expected, got)


def _ordered(recorded: Any, live: Any) -> Any:
    """Return recorded data with the items of sets in one order: a set has none, and each process has another."""
    if isinstance(live, set | frozenset) and isinstance(recorded, list):
        return sorted(recorded, key=repr)
    if isinstance(live, list | tuple) and isinstance(recorded, list) and len(live) == len(recorded):
        return [_ordered(part, held) for part, held in zip(recorded, live, strict=True)]
    if not isinstance(recorded, dict):
        return recorded
    inside = {str(key): held for key, held in live.items()} if isinstance(live, dict) else None
    return {key: _ordered(part, inside.get(key) if inside else getattr(live, key, None)) for key, part in recorded.items()}


def _outcome(event: HistoryEvent) -> dict[str, Any]:
    """Return the outcome of a message without its number, which also counts messages that are not fed."""
    return {"kind": event.kind, **{key: value for key, value in event.data.items() if key != "n"}}


def _crash(error: Exception) -> dict[str, Any]:
    return {"kind": "crashed", "error": type(error).__name__, "text": text_of(error)}


def _envelope(cell: Cell, event: HistoryEvent) -> Envelope:
    """Make a recorded message again. Raises `_NotReplayable` when the actor has no such method any more."""
    data = event.data
    name, args, kwargs = data["type"], data["args"], data.get("kwargs", {})
    if data["via"] in {"tell", "ask"}:  # any peer chose this name: only public methods are called
        if name not in cell.service.methods and "receive" in cell.hooks:
            return _to_receive(cell, event)
        exists = name in cell.service.methods or name == "receive"
    else:
        exists = inspect.iscoroutinefunction(getattr(cell.cls, name, None))
    if not exists:
        raise _NotReplayable(f"{cell.cls.__qualname__} has no method {name!r} any more")
    args, kwargs = _converted_arguments(cell.cls, name, args, kwargs)
    reply = asyncio.get_running_loop().create_future()
    return Envelope(cell, name, args, kwargs, data["via"], reply=reply, sender=data.get("sender"))


def _to_receive(cell: Cell, event: HistoryEvent) -> Envelope:
    """Make a recorded message without a method again. Raises `_NotReplayable`."""
    (recorded,) = event.data["args"]
    if _is_marked(recorded):
        raise _NotReplayable("its payload was too long for the history, or could not be encoded")
    try:
        message = Message(recorded["type"], restored(recorded["payload"]), recorded["sender"])
    except Inexact as error:
        raise _NotReplayable(f"its payload: {text_of(error)}") from error
    reply = asyncio.get_running_loop().create_future()
    return Envelope(cell, "receive", (message,), {}, event.data["via"], reply=reply, sender=event.data.get("sender"))


async def _handled(cell: Cell, envelope: Envelope) -> None:
    """Let the actor handle a message, and wait for its consequences, including a restart."""
    envelope.reply.add_done_callback(asyncio.Future.exception)  # it is compared by its event; read it, in time or late
    cell.post(envelope)
    await asyncio.wait([envelope.reply])
    while cell.task is not None:
        await asyncio.wait([cell.task])


def _converted_arguments(
    cls: type[Actor], name: str, args: list[Any], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Convert recorded arguments to the types that a method declares. Raises `_NotReplayable` when they do not fit."""
    if _is_marked([args, dict(kwargs)]):
        raise _NotReplayable("an argument was too long for the history, or could not be encoded")
    function = getattr(cls, name)
    hints = _hints(cls, name)
    is_bound = isinstance(inspect.getattr_static(cls, name), staticmethod | classmethod)
    self_too = [] if is_bound else [None]
    try:
        bind = inspect.signature(function).bind
        bound, written = bind(*self_too, *restored(args), **restored(dict(kwargs))), bind(*self_too, *args, **kwargs).arguments
        for parameter, value in bound.arguments.items():
            if parameter in hints and (keeps(hints[parameter]) or value == written[parameter]):
                bound.arguments[parameter] = typed(written[parameter], hints[parameter])
    except UNDECODABLE as error:
        raise _NotReplayable(f"{getattr(function, '__qualname__', function)}: {text_of(error)}") from error
    return bound.args[len(self_too) :], bound.kwargs


def _hints(cls: type[Actor], method: str) -> dict[str, Any]:
    try:
        hints = hints_of(cls, method)
    except (NameError, TypeError):  # hints for type checkers only
        return {}
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {
        name: hints[name]
        for name, one in inspect.signature(getattr(cls, method)).parameters.items()
        if name in hints and one.kind not in many
    }


def _is_marked(value: Any) -> bool:
    """Return whether a part of a recorded value was replaced when it was recorded."""
    if isinstance(value, dict):
        return (len(value) == 1 and next(iter(value)) in {AS_REPR, AS_CUT}) or any(map(_is_marked, value.values()))
    return isinstance(value, list) and any(map(_is_marked, value))


def _import_class(spec: str) -> type[Actor]:
    """Import a recorded class, "module:Class"."""
    module, _, name = spec.partition(":")
    try:
        target: Any = importlib.import_module(module)
        for part in name.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError) as error:
        raise _NotReplayable(f"{spec} cannot be imported ({text_of(error)}); give the class") from error
    return cast("type[Actor]", target)


def _nothing() -> None:
    """The callback of a timer that never ticks."""
