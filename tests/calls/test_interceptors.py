"""What goes around a call, on either side, for each of the four kinds: order, refusal, error mapping, metadata."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import penstock
from penstock import Aborted, Cancelled, InvalidArgument, NotFound, PermissionDenied, StatusError, Unavailable
from tests.calls.kit import Log, collected, ended, linked, now, rest, started

KINDS = ["unary", "watch", "record", "trade"]
SIDES = ["caller", "callee"]


class Service:
    def __init__(self, log=None):
        self.log = log if log is not None else Log()

    async def unary(self, fail: bool = False, wait: bool = False) -> int:
        await self._work(fail, wait)
        return 1

    async def watch(self, fail: bool = False, wait: bool = False) -> AsyncIterator[int]:
        yield 1
        await self._work(fail, wait)

    async def record(self, items: AsyncIterator[int], fail: bool = False, wait: bool = False) -> int:
        total = sum([item async for item in items])
        await self._work(fail, wait)
        return total

    async def trade(self, items: AsyncIterator[int], fail: bool = False, wait: bool = False) -> AsyncIterator[int]:
        async for item in items:
            yield item
        await self._work(fail, wait)

    async def _work(self, fail, wait):
        self.log.append("handler")
        try:
            if wait:
                await asyncio.Event().wait()
            if fail:
                raise NotFound("by the handler")
        finally:
            self.log.append("handler done")

    async def metadata(self) -> dict[str, str]:
        return penstock.context().metadata


async def call(stub, kind, **how):
    """Make a call; return its items and its error."""
    if kind in {"unary", "record"}:
        made = stub.unary(**how) if kind == "unary" else stub.record([1], **how)
        outcome = await ended(asyncio.ensure_future(made))
        return ([], outcome) if isinstance(outcome, Exception) else ([outcome], None)
    return await collected(stub.watch(**how) if kind == "watch" else stub.trade([1], **how))


def around(side, *interceptors):
    return {"client_interceptors" if side == "caller" else "interceptors": interceptors}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", KINDS)
async def test_interceptors_go_around_the_whole_call_the_first_one_outermost(kind, side):
    log = Log()
    async with linked(Service(log), **around(side, log.around("a"), log.around("b"))) as pair:
        assert await call(pair.stub(Service), kind) == ([1], None)
        assert log == ["a in", "b in", "handler", "handler done", "b out", "a out"]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", KINDS)
async def test_interceptors_see_how_a_call_fails(kind, side):
    log = Log()
    async with linked(Service(log), **around(side, log.around("a"))) as pair:
        items, error = await call(pair.stub(Service), kind, fail=True)
        assert type(error) is NotFound
        assert items == ([1] if kind in {"watch", "trade"} else [])
        assert log[-1] == "a NotFound"


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_interceptor_refuses_a_call_before_its_handler_starts(kind, side):
    async def refuse():
        raise PermissionDenied("not you", {"why": "no ticket"})

    log = Log()
    async with linked(Service(log), **around(side, log.around("outer"), log.around("inner", before=refuse))) as pair:
        items, error = await call(pair.stub(Service), kind)
        assert (items, type(error)) == ([], PermissionDenied)
        assert error.details == {"why": "no ticket"}
        assert log == ["outer in", "inner in", "outer PermissionDenied"]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_interceptor_replaces_an_error(kind, side):
    @asynccontextmanager
    async def mapping(_call):
        try:
            yield
        except NotFound as error:
            raise Aborted("mapped") from error

    async with linked(Service(), **around(side, mapping)) as pair:
        items, error = await call(pair.stub(Service), kind, fail=True)
        assert type(error) is Aborted, error
        assert items == ([1] if kind in {"watch", "trade"} else [])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_interceptor_makes_an_error_of_a_good_end(kind, side):
    async def object_():
        await asyncio.sleep(0.1)
        raise PermissionDenied("after all")

    log = Log()
    async with linked(Service(log), **around(side, log.around("a", after=object_))) as pair:
        items, error = await call(pair.stub(Service), kind)
        assert type(error) is PermissionDenied, items
        assert log[-1] == "a out"


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_an_interceptor_does_after_the_call_is_done_in_full(kind, side):
    done = []

    async def slow():
        await asyncio.sleep(1)
        done.append(now())

    log = Log()
    async with linked(Service(log), **around(side, log.around("a", after=slow))) as pair:
        assert await call(pair.stub(Service), kind) == ([1], None)
        await asyncio.sleep(2)
        assert len(done) == 1


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_that_an_interceptor_swallows_is_still_an_error(kind, side):
    @asynccontextmanager
    async def swallow(_call):
        with contextlib.suppress(StatusError):
            yield

    async with linked(Service(), **around(side, swallow)) as pair:
        _, error = await call(pair.stub(Service), kind, fail=True)
        assert isinstance(error, StatusError)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_interceptor_that_raises_anything_ends_its_own_call_only(kind, side):
    @asynccontextmanager
    async def broken(call):
        if call.metadata.get("broken"):
            raise ZeroDivisionError
        yield

    async with linked(Service(), **around(side, broken)) as pair:
        _, error = await call(pair.stub(Service, metadata={"broken": "yes"}), kind)
        assert isinstance(error, ZeroDivisionError if side == "caller" else penstock.Internal)
        assert await call(pair.stub(Service), kind) == ([1], None)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_interceptor_of_the_caller_adds_metadata(kind):
    seen = []

    @asynccontextmanager
    async def sign(call):
        assert call.side == "caller"
        call.metadata["token"] = f"for {call.target}"
        yield

    @asynccontextmanager
    async def check(call):
        assert call.side == "callee"
        seen.append(call.metadata)
        yield

    async with linked(Service(), client_interceptors=[sign], interceptors=[check]) as pair:
        assert (await call(pair.stub(Service, metadata={"own": "x"}), kind))[1] is None
        assert seen == [{"own": "x", "token": f"for Service/{kind}"}]
        assert await pair.stub(Service).metadata() == {"token": "for Service/metadata"}  # nothing is left from before


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", KINDS)
async def test_the_deadline_holds_while_an_interceptor_has_the_call_in_hand(kind, side):
    async def wait_for_ever():
        await asyncio.Event().wait()

    log = Log()
    async with linked(Service(log), **around(side, log.around("a", before=wait_for_ever))) as pair:
        begun = now()
        _, error = await call(pair.stub(Service, timeout=3), kind)
        assert type(error) is penstock.DeadlineExceeded
        assert now() - begun == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", ["watch", "trade"])
@pytest.mark.parametrize("where", ["before", "during"])
async def test_a_call_cancelled_while_an_interceptor_is_around_it_leaves_the_interceptor(kind, side, where):
    async def wait_for_ever():
        await asyncio.Event().wait()

    log = Log()
    before = wait_for_ever if where == "before" else None
    async with linked(Service(log), **around(side, log.around("a", before=before))) as pair:
        stub = pair.stub(Service)
        stream = stub.watch(wait=True) if kind == "watch" else stub.trade([1], wait=True)
        await rest()
        await stream.aclose()
        await rest()
        assert log[0] == "a in"
        assert not pair.left_over()


@pytest.mark.parametrize("kind", ["unary", "record"])
async def test_a_task_cancelled_while_an_interceptor_has_its_call_leaves_nothing(kind):
    async def wait_for_ever():
        await asyncio.Event().wait()

    log = Log()
    async with linked(Service(log), client_interceptors=[log.around("a", before=wait_for_ever)]) as pair:
        calling = await started(call(pair.stub(Service), kind))
        calling.cancel()
        await ended(calling)
        await rest()
        assert not pair.left_over()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", KINDS)
async def test_interceptors_are_left_when_the_connection_is_lost(kind, side):
    log = Log()
    async with linked(Service(log), **around(side, log.around("a")), gate=False, client_reconnect=None) as pair:
        calling = await started(call(pair.stub(Service), kind, wait=True))
        pair.peer._scope.session.link.abort() if side == "callee" else pair.served._scope.session.link.abort()
        _, error = await ended(calling)
        assert isinstance(error, StatusError)
        await rest()
        assert log[0] == "a in"
        assert log[-1] in {"a ConnectionLost", "a CancelledError"}, log


async def test_a_call_in_the_hand_may_be_used_while_an_interceptor_still_has_it():
    log = Log()

    async def slow():
        await asyncio.sleep(1)

    async with linked(Service(log), client_interceptors=[log.around("a", before=slow)]) as pair:
        begun = now()
        call_ = pair.peer.open("Service/record", kind="client_streaming")
        call_.close_send()
        assert await call_.close_and_receive() == 0
        assert now() - begun == pytest.approx(1, abs=0.1)

        call_ = pair.peer.open("Service/trade")
        sending = [asyncio.ensure_future(call_.send(number)) for number in range(3)]
        await asyncio.gather(*sending)
        call_.close_send()
        assert [item async for item in call_] == [0, 1, 2]


async def test_sending_on_a_call_that_an_interceptor_refused_says_why():
    async def refuse():
        await asyncio.sleep(1)
        raise PermissionDenied("no")

    async with linked(Service(), client_interceptors=[Log().around("a", before=refuse)]) as pair:
        call_ = pair.peer.open("Service/trade")
        with pytest.raises(PermissionDenied):
            await call_.send(1)
        with pytest.raises(PermissionDenied):
            await call_.receive()


async def test_interceptors_of_one_side_do_not_see_calls_of_the_other():
    log = Log()
    async with linked(Service(), client_services=[Service()], client_interceptors=[log.around("client")]) as pair:
        assert await pair.served.call("Service/unary") == 1
        assert log == []
        assert await pair.peer.call("Service/unary") == 1
        assert log == ["client in", "client out"]


async def test_many_intercepted_streams_at_once():
    log = Log()
    async with linked(Service(), interceptors=[log.around("in")], client_interceptors=[log.around("out")]) as pair:
        stub = pair.stub(Service)
        results = await asyncio.gather(*(call(stub, KINDS[number % 4]) for number in range(200)))
        assert results == [([1], None)] * 200
        assert log.count("in out") == log.count("out out") == 200


# ── what an interceptor may not break ─────────────────────────────────────────────────────────────────────────────────


async def test_the_consumer_of_an_intercepted_stream_is_told_when_its_peer_is_closed():
    @asynccontextmanager
    async def around_it(_call: penstock.CallInfo) -> AsyncIterator[None]:
        yield

    class Silent:
        async def watch(self) -> AsyncIterator[int]:
            await asyncio.Event().wait()
            yield 0

    async with linked(Silent(), gate=False, client_interceptors=[around_it]) as pair:
        stream = penstock.Stream.of(pair.stub(Silent).watch())
        waiting = await started(stream.receive())
        await pair.peer.aclose()
        with pytest.raises((Cancelled, Unavailable)):
            await asyncio.wait_for(waiting, 1)


@pytest.mark.parametrize(
    ("field", "value", "refusal"),
    [
        ("metadata", None, InvalidArgument),
        ("metadata", [], InvalidArgument),
        ("metadata", ["ab"], InvalidArgument),
        ("metadata", 5, InvalidArgument),
        ("deadline", float("nan"), ValueError),
        ("deadline", "soon", TypeError),
        ("deadline", 1e300, None),
        ("deadline", float("inf"), None),
    ],
)
async def test_what_an_interceptor_sets_never_ends_the_connection(field, value, refusal):
    """FAULTS G3: what is encoded into an `OPEN` is checked at this side, not by the peer."""

    @asynccontextmanager
    async def odd(call):
        if call.target == "Service/unary":
            setattr(call, field, value)
        yield

    async with linked(Service(), client_interceptors=[odd]) as pair:
        requests = asyncio.Event()

        async def later():
            await requests.wait()
            yield 7

        other = await started(pair.stub(Service).record(later()))
        if refusal is None:
            assert await pair.stub(Service).unary() == 1
        else:
            with pytest.raises(refusal):
                await pair.stub(Service).unary()
        requests.set()
        assert await ended(other) == 7


async def test_metadata_that_is_no_text_is_refused_and_the_connection_goes_on():
    @asynccontextmanager
    async def number(call: penstock.CallInfo) -> AsyncIterator[None]:
        call.metadata["attempt"] = 1  # type: ignore[assignment]
        yield

    async with linked(Service(), client_interceptors=[number]) as pair:
        for _ in range(2):
            with pytest.raises(InvalidArgument, match="attempt"):
                await pair.stub(Service).unary()


# ── an error that an interceptor swallows ─────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def swallowing(_call: penstock.CallInfo) -> AsyncIterator[None]:
    with contextlib.suppress(BaseException):
        yield


@asynccontextmanager
async def refusing(_call: penstock.CallInfo) -> AsyncIterator[None]:
    raise PermissionDenied("not today")
    yield


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", SIDES)
async def test_a_refusal_that_an_outer_interceptor_swallows_is_an_error_all_the_same(side, kind):
    around = {"client_interceptors" if side == "caller" else "interceptors": [swallowing, refusing]}
    async with linked(Service(), **around) as pair:
        stub = pair.stub(Service)
        call = {
            "unary": lambda: ended(asyncio.ensure_future(stub.unary())),
            "record": lambda: ended(asyncio.ensure_future(stub.record([1]))),
            "watch": lambda: collected(stub.watch()),
            "trade": lambda: collected(stub.trade([1])),
        }[kind]
        outcome = await call()
        error = outcome[1] if isinstance(outcome, tuple) else outcome
        assert type(error) is (PermissionDenied if side == "caller" else Aborted)


async def test_a_deadline_that_an_interceptor_of_the_caller_swallows_is_told_as_one():
    async with linked(Service(), client_interceptors=[swallowing]) as pair:
        error = await ended(asyncio.ensure_future(pair.stub(Service, timeout=1).unary(wait=True)))
        assert isinstance(error, penstock.DeadlineExceeded)
        assert not asyncio.current_task().cancelling()


async def test_a_caller_that_is_cancelled_stays_cancelled_whatever_an_interceptor_swallows():
    async with linked(Service(), client_interceptors=[swallowing]) as pair:
        call = await started(pair.stub(Service, timeout=60).unary(wait=True))
        call.cancel()
        assert isinstance(await ended(call), asyncio.CancelledError)
