"""One incarnation of an actor: started, failed, made again, ended; its hooks run here, in the actor's own task.

`_supervision` decides what happens to a failed actor, and `_lifecycle` which step is legal; this module carries it out.
"""

from __future__ import annotations

import asyncio
import logging
import random
from functools import partial
from typing import Final, Literal

from penstock._outcomes import as_answer, as_exception, as_failure, ends_the_loop, log_error, named, new_error_id, text_of
from penstock.actors._supervision import Supervision, restarted_with
from penstock.actors.cell._belongings import STOP_GRACE_S
from penstock.actors.cell._context import handled
from penstock.actors.cell._cycles import Waiting
from penstock.actors.cell._envelope import Envelope, exactly, handling
from penstock.actors.cell._lifecycle import Lifecycle
from penstock.calls import is_cancelled
from penstock.errors import ActorStopped, Cancelled, StatusError

log = logging.getLogger("penstock.actor")

#: Spreads the delays of restarts; not for secrets.
_jitter: Final = random.Random()  # noqa: S311

Verdict = Literal["answer", "crash", "cancelled"]


# ── the start ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def start(cell: Lifecycle) -> None:
    """Begin the life of a new actor: tell the tap how it is made, make its object, run its `on_start` in its own task.

    Raises what ``__init__`` or `on_start` raise; the actor is gone then. Cancelling it stops the actor.
    """
    if cell.system.tap is not None:  # the texts cost more than the rest of a spawn
        parent = None if cell.parent is None else cell.parent.address
        name = f"{cell.cls.__module__}:{cell.cls.__qualname__}"
        args, kwargs = exactly(cell.args, cell.kwargs)
        cell.record("spawned", actor=name, id=cell.id, parent=parent, args=args, kwargs=kwargs)
    try:
        cell.make()
    except BaseException as error:
        reason = f"its __init__ raised {named(error)}"
        cell.step("stop")
        await _clear(cell, reason)
        await _over(cell, reason)
        raise
    if "on_start" not in cell.hooks:
        cell.run()
        return
    started = asyncio.get_running_loop().create_future()
    envelope = Envelope(cell, "on_start", (), {}, "system", cause=handling.get(), asker=asyncio.current_task())
    cell.post_system(partial(_first_start, envelope, cell, started))
    try:
        with Waiting(cell):
            await asyncio.shield(started)
    except asyncio.CancelledError:
        started.add_done_callback(asyncio.Future.exception)  # the shield, which was left, retrieves it no more
        await cell.stop("its spawn was cancelled")
        raise


async def _first_start(envelope: Envelope, cell: Lifecycle, started: asyncio.Future[None]) -> None:
    """Run the first `on_start`; tell the task that spawns the actor how it ended."""
    try:
        await _on_start(cell, envelope)
    except asyncio.CancelledError:
        started.set_exception(ActorStopped(f"{cell.address} was stopped while it started"))
        raise
    except BaseException as error:
        await finish(cell, f"on_start raised {named(error)}")
        started.set_exception(as_failure(error, f"{cell.address}: on_start"))
        if ends_the_loop(error):
            raise
    else:
        started.set_result(None)


async def _on_start(cell: Lifecycle, envelope: Envelope) -> None:
    """Run `on_start`; afterwards the actor is running."""
    cell.set_current(envelope)
    try:
        await handled(envelope, cell.actor.on_start)
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise cancelled_in(cell, "on_start") from error
    finally:
        left_behind = cell.task is not asyncio.current_task()
        if not left_behind:
            cell.take_current()
    if left_behind:  # another task has ended the actor, or is about to
        raise asyncio.CancelledError(f"{cell.address} was stopped while it started")
    cell.run()


# ── failures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def judge(cell: Lifecycle, envelope: Envelope, error: BaseException, *, interrupted: bool) -> tuple[BaseException, Verdict]:
    """Return the answer to the asker, and whether the error is an answer, a crash, or a cancellation of the task.

    `interrupted` says that a request to stop has cancelled the handler.
    """
    answer = as_answer(error, f"{cell.address}/{envelope.type}")
    if answer is not None:
        if envelope.reply is None:
            text = named(answer)
            log.warning("%s: %.200r, to which no answer is awaited, ended with %.500s", cell.address, envelope.type, text)
        _record_answer(cell, answer)
        return answer, "answer"
    if isinstance(error, asyncio.CancelledError):
        if interrupted:
            return ActorStopped(f"{cell.address} was stopped while it handled {envelope.type!r}"), "cancelled"
        return cancelled_in(cell, envelope.type), "cancelled" if is_cancelled() else "answer"
    if isinstance(error, GeneratorExit):
        return cancelled_in(cell, envelope.type), "answer"
    if is_failure(error):
        envelope.crashed_as(new_error_id())
        return _crash(cell, envelope.type, error), "crash"
    log.critical("%s: the handler of %r raised %r; it ends the program", cell.address, envelope.type, error)
    return ActorStopped(f"{cell.address} was stopped by {type(error).__name__}"), "cancelled"


def judge_inline(cell: Lifecycle, name: str, error: BaseException) -> BaseException:
    """Return the answer of a message that was handled where it was sent. Another task handles a crash."""
    answer = as_answer(error, f"{cell.address}/{name}")
    if answer is not None:
        _record_answer(cell, answer)
        return answer
    if isinstance(error, asyncio.CancelledError | GeneratorExit):  # of something it looked at; the asker is not cancelled
        return cancelled_in(cell, name)
    if not is_failure(error):
        return error
    cell.inline_envelope.crashed_as(new_error_id())
    cell.post_system(partial(crashed, cell, error, cell.handled, cell.inline_envelope.error_id))
    return _crash(cell, name, error)


def _crash(cell: Lifecycle, name: str, error: BaseException) -> Exception:
    """Return a failure as the asker gets it: in this process it is the very exception, unless that would end the program."""
    return as_exception(error, f"{cell.address}: the handler of {name!r}")


def _record_answer(cell: Lifecycle, answer: StatusError) -> None:
    """Record the `StatusError` with which a handler answers."""
    cell.record("error", n=cell.handled, error=type(answer).__name__, text=answer.message)


def cancelled_in(cell: Lifecycle, name: str) -> Cancelled:
    """Return the answer of a handler that waited for something that was cancelled. It cancels no asker."""
    return Cancelled(f"{cell.address}: the handler of {name!r} was cancelled")


def is_failure(error: BaseException) -> bool:
    """Whether `error` is a failure of the actor's code, and not a cancellation or a request to stop the program."""
    return not isinstance(error, asyncio.CancelledError) and not ends_the_loop(error)


def supervision_of(cell: Lifecycle) -> Supervision:
    """Return the rules for an actor: its own, else those that its parent, or the system, has for children."""
    if cell.supervision is not None:
        return cell.supervision
    rules: Supervision = cell.system.supervision if cell.parent is None else cell.parent.actor.supervision
    return rules


async def crashed(cell: Lifecycle, error: BaseException, message: int | None, error_id: str = "") -> None:
    """Handle a crash in the message of that number: tell the parent, then restart or stop as the supervision says.

    error_id: the id for the log, which an asker in another process has got; empty for a crash without a message.
    """
    rules = supervision_of(cell)
    cell.inline_envelope.crashed_as("")
    for sibling in _restarted_too(cell, rules):
        sibling.post_system(partial(_restart_or_crash, sibling, f"{cell.address} failed"))
    delay_s: float | None = _count_failure(cell, rules, error, message, error_id)
    while delay_s is not None and cell.stopping is None:
        try:
            await restart(cell, f"{cell.address} raised {named(error)}", delay_s)
            return
        except BaseException as again:
            if not is_failure(again):
                raise
            error = again  # it failed once more, while it started
            delay_s = _count_failure(cell, rules, error, None)
    if cell.stopping is None:
        await finish(cell, f"it crashed with {type(error).__name__}, {_no_restart(rules)}")


def _no_restart(rules: Supervision) -> str:
    """Say why the actor is not restarted. The text of the error stays in the log and the history: this one reaches peers."""
    if not rules.max_restarts:
        return "and its supervision allows no restart"
    restarts = f"{rules.max_restarts} restart{'s' * (rules.max_restarts > 1)}"
    return f"after {restarts} within {rules.within:g} s, the most that its supervision allows"


async def _restart_or_crash(cell: Lifecycle, reason: str) -> None:
    """Restart an actor that has not failed; it crashes if it cannot be made again."""
    try:
        await restart(cell, reason, 0.0)
    except BaseException as error:
        if not is_failure(error):
            raise
        await crashed(cell, error, None)  # now it is this one that failed


async def restart_asked(cell: Lifecycle, done: asyncio.Future[None]) -> None:
    """Restart an actor at the wish of a program, which waits for `done`."""
    await _restart_or_crash(cell, "it was asked to")
    if done.done():
        return
    if cell.state == "running":
        done.set_result(None)
    else:
        done.set_exception(ActorStopped(f"{cell.address} was stopped before it could be restarted"))


def _count_failure(
    cell: Lifecycle, rules: Supervision, error: BaseException, message: int | None, error_id: str = ""
) -> float | None:
    """Count, log and record a failure, and tell the parent; return the delay before the restart, None to stop."""
    delay_s = cell.failures.count(rules, cell.system.loop.time(), _jitter.random(), named(error))
    fate = "it is stopped" if delay_s is None else f"it is restarted in {delay_s:.3g} s"
    log_error(log, error, "%s crashed; %s%s", cell.address, fate, f" (error {error_id})" if error_id else "")
    cell.record("crashed", n=message, error=type(error).__name__, text=text_of(error))
    parent = cell.parent
    if parent is not None and "on_child_failed" in parent.hooks:
        parent.post_call("on_child_failed", cell.ref, error)
    return delay_s


def _restarted_too(cell: Lifecycle, rules: Supervision) -> list[Lifecycle]:
    """Return the siblings that are restarted together with an actor."""
    family = cell.system.family(cell)
    names = restarted_with(rules.strategy, list(family), cell.address)
    return [family[name] for name in names if family[name].state == "running"]


async def restart(cell: Lifecycle, reason: str, delay_s: float) -> None:
    """Begin anew: children, streams, channels, timers and state are gone, the mailbox stays.

    Runs in the actor's own task. Raises what the new incarnation raises when it starts.
    """
    if cell.stopping is not None or cell.state in {"stopping", "stopped"}:
        return
    cell.step("restart")
    await _clear(cell, reason)
    if await cell.pause(delay_s):
        cell.make_again(reason, delay_s)
        await _on_start(cell, Envelope(cell, "on_start", (), {}, "system"))


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _clear(cell: Lifecycle, reason: str) -> None:
    """End what belongs to this incarnation."""
    cell.queue.drop_ticks()
    await cell.belongings.end(cell, reason)


async def finish(cell: Lifecycle, reason: str) -> None:
    """End an actor, in its own task: its work, `on_stop`, its ports and channels, its mailbox. Idempotent."""
    if cell.state == "stopped":
        return
    cell.step("stop")
    cell.queue.drop_ticks()
    await cell.belongings.end_work(cell, reason)
    await _on_stop(cell)
    await _clear(cell, reason)
    await _over(cell, reason)


async def _over(cell: Lifecycle, reason: str) -> None:
    """Leave the system: refuse the waiting messages, tell the watchers, wake the tasks that wait for the end."""
    cell.end("end", reason)
    why = f"{cell.address} has stopped: {reason}"
    envelopes, system_messages = cell.queue.close(why)
    for envelope in envelopes:
        cell.system.dead_letter(envelope, why, ActorStopped(why, started=False))
    cell.record("stopped", reason=reason)
    for watcher in cell.belongings.take_watchers():
        watcher.post_call("on_terminated", cell.ref, reason)
    for message in system_messages:
        if not isinstance(message, Envelope):
            await message()  # it finds that the actor has stopped, and tells the task that waits for it
    if cell.stopping is not None:
        cell.stopping.done()


async def _on_stop(cell: Lifecycle) -> None:
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
        cell.take_current()


async def _run_on_stop(cell: Lifecycle) -> None:
    envelope = Envelope(cell, "on_stop", (), {}, "system")
    cell.set_current(envelope)
    try:
        await handled(envelope, cell.actor.on_stop)
    except asyncio.CancelledError:
        log.warning("%s: on_stop was cancelled; the actor is stopped all the same", cell.address)
    except BaseException as error:
        log_error(log, error, "%s: on_stop failed; the actor is stopped all the same", cell.address)
        if ends_the_loop(error):
            raise
