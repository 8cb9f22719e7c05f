"""The life of an actor: made, started, failed, started again, stopped. It handles no message of others.

What happens to a failed actor is decided in `_supervision`; here it is carried out, in the actor's own task.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Hashable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast, get_args, get_origin, get_type_hints

from penstock.actors._supervision import Failures, Supervision, restarted_with
from penstock.actors.cell._cycles import Waiting
from penstock.actors.cell._envelope import Envelope, handling, never_waits
from penstock.actors.cell._side_task import STOP_GRACE_S, end_all
from penstock.actors.cell._stop import stop
from penstock.calls import current_call
from penstock.channel import Channel
from penstock.codec import check_type
from penstock.errors import (
    ActorStopped,
    Cancelled,
    DeadlineExceeded,
    MailboxFull,
    StatusError,
    as_answer,
)
from penstock.service import Service, service_of

if TYPE_CHECKING:
    from penstock.actors.cell._cell import Cell

log = logging.getLogger("penstock.actor")

#: Spreads the delays of restarts; not for secrets.
_LUCK: Final = random.Random()  # noqa: S311

Verdict = Literal["answer", "crash", "cancelled"]


#: What the system calls, if the class has it.
HOOKS: Final = frozenset(
    {
        "on_start",
        "on_stop",
        "on_child_failed",
        "on_terminated",
        "on_channel",
        "on_channel_open",
        "on_channel_message",
        "on_channel_close",
        "receive",
    }
)


class Profile(NamedTuple):
    """A class of actors, as the run-time sees it: its methods, the hooks it has, the methods that never wait."""

    service: Service
    hooks: frozenset[str]
    instant: frozenset[str]
    messages: Any  # what the messages of a channel are, when they come from elsewhere


def profile_of(cls: type[Any]) -> Profile:
    """Read a class of actors. Raises `TypeError` for a type that cannot travel."""
    return _read(cast("Hashable", cls))


@lru_cache(maxsize=1024)
def _read(cls: Any) -> Profile:
    service = service_of(cls)
    base = next(one for one in cls.__mro__ if one.__name__ == "Actor" and one.__module__.startswith("penstock."))
    hooks = frozenset(name for name in HOOKS if getattr(cls, name, None) is not getattr(base, name, None))
    methods = [name for name, method in service.methods.items() if not method.kind]
    return Profile(
        service, hooks, frozenset(name for name in [*methods, "receive"] if never_waits(getattr(cls, name))), _messages_of(cls)
    )


def _messages_of(cls: type[Any]) -> Any:
    """Return the type of messages that the channels of an actor are annotated with: ``channel: Channel[Order]``."""
    for hook in (cls.on_channel, getattr(cls, "on_channel_open", None)):
        if hook is None:
            continue
        try:
            hints = get_type_hints(hook)
        except NameError:  # a hint that only a type checker can find says nothing here
            continue
        found = [get_args(hint)[0] for hint in hints.values() if get_origin(hint) is Channel]
        if found:
            check_type(found[0], f"{cls.__qualname__}.{hook.__name__}: the messages of its channel")
            return found[0]
    return Any


def make(cell: Cell) -> None:
    """Make the actor's object. What it knows of itself is there before its ``__init__`` runs."""
    cls: Any = cell.cls
    actor = cls.__new__(cls)
    actor._cell = cell
    cell.actor = actor
    actor.__init__(*cell.args, **cell.kwargs)


async def start(cell: Cell) -> None:
    """Begin the life of a new actor: its `on_start` runs in its own task. Raises what that raises; then there is no actor."""
    try:
        make(cell)
    except BaseException as error:
        cell.state = "stopping"
        reason = f"its __init__ raised {_brief(error)}"
        await clear(cell, reason)
        await _over(cell, reason)
        raise
    if "on_start" not in cell.hooks:
        _running(cell)
        return
    started = asyncio.get_running_loop().create_future()
    cell.order(partial(_first_start, cell, handling.get(), started))
    try:
        with Waiting(cell):
            await asyncio.shield(started)
    except asyncio.CancelledError:
        started.add_done_callback(asyncio.Future.exception)  # a shield that was left looks at it no more
        await stop(cell, "its spawn was cancelled")
        raise


async def _first_start(cell: Cell, cause: Envelope | None, started: asyncio.Future[None]) -> None:
    try:
        await _on_start(cell, cause)
    except asyncio.CancelledError:
        started.set_exception(ActorStopped(f"{cell.address} was stopped while it started"))
        raise
    except Exception as error:  # noqa: BLE001 - whoever spawns it is told
        await finish(cell, f"on_start raised {_brief(error)}")
        started.set_exception(error)
    else:
        started.set_result(None)


async def _on_start(cell: Cell, cause: Envelope | None = None) -> None:
    """Run `on_start`; then it is running."""
    cell.current = envelope = Envelope(cell, "on_start", (), {}, "system", cause=cause)
    handling.set(envelope)
    current_call.set(None)
    try:
        await cell.actor.on_start()
    except asyncio.CancelledError as error:
        if _is_being_cancelled():
            raise
        raise cancelled_in(cell, "on_start") from error
    finally:
        cell.current = None
    _running(cell)


def _running(cell: Cell) -> None:
    cell.state = "running"
    cell.started_s = cell.system.loop.time()
    cell.record("started", restarts=cell.restarts)


# ── failures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def judge(cell: Cell, envelope: Envelope, error: BaseException, *, interrupted: bool) -> tuple[BaseException, Verdict]:
    """Return what the asker gets, and whether the error is an answer, a crash, or none of the actor's business."""
    if isinstance(error, StatusError):
        if envelope.reply is None:
            log_unasked(cell, envelope.type, error)
        return answer_of(cell, error), "answer"
    if isinstance(error, asyncio.CancelledError):
        if interrupted:
            return ActorStopped(f"{cell.address} was stopped while it handled {envelope.type!r}"), "cancelled"
        return cancelled_in(cell, envelope.type), "cancelled" if _is_being_cancelled() else "answer"
    if isinstance(error, Exception):
        return error, "crash"
    log.critical("%s: the handler of %r raised %r; it ends the program", cell.address, envelope.type, error)
    return ActorStopped(f"{cell.address} was stopped by {type(error).__name__}"), "cancelled"


def answer_of(cell: Cell, error: StatusError) -> StatusError:
    """Return what the asker gets for a `StatusError` of a handler."""
    cell.record("error", n=cell.handled, error=type(error).__name__, text=error.message)
    return as_answer(error)


def cancelled_in(cell: Cell, name: str) -> Cancelled:
    """Say that what a handler waited for was cancelled: that is its answer, and cancels nobody else."""
    return Cancelled(f"{cell.address}: the handler of {name!r} was cancelled")


def _is_being_cancelled() -> bool:
    """Whether somebody cancels this task, and not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def supervision_of(cell: Cell) -> Supervision:
    """Return the rules for an actor: its own, else its parent's for its children."""
    if cell.supervision is not None:
        return cell.supervision
    return cell.parent.actor.supervision if cell.parent is not None else cell.system.supervision


async def crashed(cell: Cell, error: Exception, message: int | None) -> None:
    """An actor failed: its parent is told, and it is restarted or stopped as its supervision says."""
    rules = supervision_of(cell)
    for sibling in _with(cell, rules):
        sibling.order(partial(_restart_too, sibling, f"{cell.address} failed"))
    delay: float | None = _failure(cell, rules, error, message)
    while delay is not None and not cell.stopping:
        try:
            await restart(cell, f"{cell.address} raised {_brief(error)}", delay)
            return
        except Exception as again:  # noqa: BLE001 - it failed once more, while it started
            error = again
            delay = _failure(cell, rules, error, None)
    if not cell.stopping:
        await finish(cell, f"it failed: {_brief(error)}")


async def _restart_too(cell: Cell, reason: str) -> None:
    """Restart an actor because a sibling failed."""
    try:
        await restart(cell, reason, 0.0)
    except Exception as error:  # noqa: BLE001 - now it is this one that failed
        await crashed(cell, error, None)


async def restart_asked(cell: Cell, done: asyncio.Future[None]) -> None:
    """Restart an actor because somebody wants it."""
    await _restart_too(cell, "it was asked to")
    if done.done():
        return
    if cell.state == "running":
        done.set_result(None)
    else:
        done.set_exception(ActorStopped(f"{cell.address} was stopped before it could be restarted"))


def _failure(cell: Cell, rules: Supervision, error: Exception, message: int | None) -> float | None:
    """Count a failure, tell everybody; return the delay before the restart, None to stop."""
    cell.error = _brief(error)
    if cell.failures is None:
        cell.failures = Failures()
    delay = cell.failures.decide(rules, cell.system.loop.time(), _LUCK.random())
    fate = "it is stopped" if delay is None else f"it is restarted in {delay:.3g} s"
    log.error("%s crashed; %s", cell.address, fate, exc_info=error)
    cell.record("crashed", n=message, error=type(error).__name__, text=str(error))
    parent = cell.parent
    if parent is not None and "on_child_failed" in parent.hooks:
        parent.call("on_child_failed", cell.ref, error)
    return delay


def _with(cell: Cell, rules: Supervision) -> list[Cell]:
    """Return the siblings that are restarted together with an actor."""
    family = cell.system.family(cell)
    names = restarted_with(rules.strategy, list(family), cell.address)
    return [family[name] for name in names if family[name].state == "running"]


async def restart(cell: Cell, reason: str, delay: float) -> None:
    """Begin anew: children, streams, channels, timers and state are gone, the mailbox stays.

    Runs in the actor's own task. Raises what the new one raises when it starts.
    """
    if cell.stopping or cell.state == "stopped":
        return
    cell.state = "restarting"
    await clear(cell, reason)
    if not await _pause(cell, delay):
        return
    cell.restarts += 1
    cell.record("restarted", after_s=delay, reason=reason)
    cell.state = "starting"
    make(cell)
    await _on_start(cell)


async def _pause(cell: Cell, delay: float) -> bool:
    """Wait before a restart; return False when a stop cut it short."""
    if delay > 0:
        cell.bell = asyncio.get_running_loop().create_future()
        await asyncio.wait([cell.bell], timeout=delay)
        cell.bell = None
    return not cell.stopping


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def clear(cell: Cell, reason: str) -> None:
    """End what belongs to this incarnation: children in reverse order, streams and channels, timers, ports."""
    for timer in tuple(cell.timers or ()):
        timer.cancel()
    cell.orders = deque(one for one in cell.orders or () if not (isinstance(one, Envelope) and one.via == "timer"))
    children = list((cell.children or {}).values())
    for child in reversed(children):
        if child.watchers is not None:
            child.watchers.discard(cell)  # what comes after is told of its own children only
        await stop(child, f"its parent {cell.address} ended")
    why = ActorStopped(f"{cell.address} ended: {reason}")
    for port in (cell.ports or {}).values():
        port.fail(why)
    for channel in tuple(cell.channels or ()):
        channel.fail(why)
    cell.ports = cell.timers = cell.children = cell.channels = None
    await end_all(cell.work, why)


async def finish(cell: Cell, reason: str) -> None:
    """End an actor, in its own task; whoever waits for it or watches it is told. Idempotent."""
    if cell.state == "stopped":
        return
    cell.state = "stopping"
    await clear(cell, reason)
    await _on_stop(cell)
    await _over(cell, reason)


async def _over(cell: Cell, reason: str) -> None:
    """It is no more: nothing is taken, nobody waits."""
    if cell.grace is not None:
        cell.grace.cancel()
    cell.system.remove(cell)
    why = f"{cell.address} has stopped: {reason}"
    for envelope in cell.queue.close(why):
        cell.system.dead_letter(envelope, why, ActorStopped(why, started=False))
    cell.record("stopped", reason=reason)
    for watcher in tuple(cell.watchers or ()):
        watcher.call("on_terminated", cell.ref, reason)
    orders, cell.orders, cell.watchers = cell.orders, None, None
    for order in orders or ():
        if not isinstance(order, Envelope):
            await order()  # it sees that the actor has stopped, and says so to who waits
    if cell.ended is not None and not cell.ended.done():
        cell.ended.set_result(None)


async def _on_stop(cell: Cell) -> None:
    """Run `on_stop`, which has `STOP_GRACE_S`, and as long again when it was cancelled; then it is left behind."""
    if "on_stop" not in cell.hooks:
        return
    work = asyncio.ensure_future(_run_on_stop(cell))
    try:
        _done, late = await asyncio.wait([work], timeout=STOP_GRACE_S)
        if late:
            work.cancel()
            _done, late = await asyncio.wait([work], timeout=STOP_GRACE_S)
        if late:
            log.error("%s: on_stop goes on though it was cancelled; it is left behind", cell.address)
    finally:
        if not work.done():
            work.cancel()
        cell.current = None


async def _run_on_stop(cell: Cell) -> None:
    cell.current = envelope = Envelope(cell, "on_stop", (), {}, "system")
    handling.set(envelope)
    try:
        await cell.actor.on_stop()
    except asyncio.CancelledError:
        log.warning("%s: on_stop was cancelled; the actor is stopped all the same", cell.address)
    except Exception:
        log.exception("%s: on_stop failed; the actor is stopped all the same", cell.address)


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def record_spawn(cell: Cell) -> None:
    """Tell the tap how to make a fresh one."""
    if cell.system.tap is not None:
        cell.record(
            "spawned",
            actor=f"{cell.cls.__module__}:{cell.cls.__qualname__}",
            id=cell.id,
            parent=cell.parent.address if cell.parent is not None else None,
            args=cell.args,
            kwargs=cell.kwargs,
        )


def dropped(cell: Cell, envelope: Envelope, held: str) -> None:
    """A mailbox that held `held` has let go of its oldest message."""
    cell.record("dropped", type=envelope.type, sender=envelope.sender)
    error = MailboxFull(
        f"{cell.address}: {envelope.type!r} was dropped for a newer message; its mailbox holds {held}",
        started=False,
    )
    cell.system.dead_letter(envelope, error.message, error)


def record_message(cell: Cell, envelope: Envelope) -> None:
    """Tell the tap what an actor begins to handle."""
    tap = cell.system.tap
    if tap is not None:
        said: dict[str, Any] = {"n": cell.handled, "via": envelope.via, "type": envelope.type, "args": envelope.args}
        if envelope.kwargs:
            said["kwargs"] = envelope.kwargs
        if envelope.sender is not None:
            said["sender"] = envelope.sender
        tap.record(cell.address, "message", said)


def log_unasked(cell: Cell, name: str, error: StatusError) -> None:
    """Say that a message failed for whose answer nobody waits."""
    log.warning("%s: %r, which nobody waits for, ended with %r", cell.address, name, error)


def too_late(envelope: Envelope) -> DeadlineExceeded:
    """Say that an ask took too long."""
    begun = envelope.cell.current is envelope
    where = "while it was being handled" if begun else _so_many(len(envelope.cell.queue.envelopes))
    return DeadlineExceeded(f"{envelope.cell.address}: no answer to {envelope.type!r} in time, {where}", started=begun)


def _so_many(waiting: int) -> str:
    return f"while {waiting} message{'' if waiting == 1 else 's'} waited"


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
