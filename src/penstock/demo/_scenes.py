"""The scenes of metrics, of a slow consumer and of a chat, in the client process."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections import deque
from contextlib import AsyncExitStack
from typing import Final

import penstock
from penstock.demo._board import Card, Row, ms, number, percentile, size
from penstock.demo._metrics import Metrics, Sample
from penstock.demo._services import Chat, ChatLine, Number, Numbers
from penstock.demo._stage import Stage

SLOW_BUFFER_SIZE: Final = 16
SAMPLE_EVERY_S: Final = 0.1
#: The longest gap between two samples: a busy machine causes shorter gaps, a stream starved by others longer ones.
SAMPLE_GAP_MAX_S: Final = 1.0
#: Columns of the small charts.
CHART: Final = 30
COLUMN_S: Final = 0.1


# ── metrics: beside everything else, from the first second to the last ────────────────────────────────────────────────


async def metrics(stage: Stage, card: Card) -> None:
    """Show the samples of the server's machine until cancelled."""
    stream = penstock.Stream.of(stage.peer.service(Metrics).samples(SAMPLE_EVERY_S))
    began = last = time.perf_counter()
    count, longest = 0, 0.0
    cpu: deque[float] = deque(maxlen=CHART)
    try:
        async for sample in stream:
            now = time.perf_counter()
            count, longest, last = count + 1, max(longest, now - last), now
            cpu.append(sum(sample.cores) / len(sample.cores))
            statistics = stream.statistics()
            flow = f"{number(count)} items, {count / (now - began):.1f}/s · gap ≤ {ms(longest * 1e9)}"
            card.show(0, *_machine(sample, cpu))
            card.show(3, Row("stream", f"{flow} · {statistics.buffered} buffered · credit {statistics.credit}"))
    finally:
        measured = f"{number(count)} samples, {count / (last - began or 1):.1f}/s, gap ≤ {ms(longest * 1e9)}"
        card.judge("Live samples go on beside everything", measured, held=count > 0 and longest < SAMPLE_GAP_MAX_S)


def _machine(sample: Sample, cpu: deque[float]) -> list[Row]:
    """Return the rows of a sample."""
    used = sample.memory_used / sample.memory_total
    load = " ".join(f"{value:.2f}" for value in sample.load)
    rates = f"↓ {size(sample.received_per_s)}/s  ↑ {size(sample.sent_per_s)}/s · {sample.processes} processes"
    return [
        Row("cpu", f"{cpu[-1]:4.0%} of {len(sample.cores)} cores · load {load}", cpu[-1], tuple(cpu)),
        Row("memory", f"{used:4.0%} · {size(sample.memory_used)} of {size(sample.memory_total)}", used),
        Row("network", rates),
    ]


# ── a fast producer, and a consumer that is not ───────────────────────────────────────────────────────────────────────


class RunAhead:
    """Measures how far a producer was ahead of its consumer each time that it made an item.

    The measurement is exact: both processes read the same clock, and every number carries the time at which it was made.
    """

    def __init__(self) -> None:
        self.most = 0
        self._began = time.perf_counter()
        self._consumed_ns: list[int] = []

    @property
    def consumed(self) -> int:
        return len(self._consumed_ns)

    @property
    def rate(self) -> float:
        """Items per second, from the beginning on."""
        return self.consumed / (time.perf_counter() - self._began)

    def consume(self, item: Number) -> None:
        """Count an item that the consumer has just received."""
        self.most = max(self.most, item.n - bisect_right(self._consumed_ns, item.made_ns))
        self._consumed_ns.append(time.perf_counter_ns())


async def bound(stage: Stage, card: Card) -> None:
    """Run the same producer twice: with a consumer that keeps up, then with a slow one that stops in the end."""
    numbers = stage.peer.service(Numbers)
    await _keep_up(stage, card, numbers)
    ahead = RunAhead()
    async with penstock.Stream.of(penstock.options(numbers, buffer_size=SLOW_BUFFER_SIZE).count("slow")) as stream:
        await _consume_slowly(stage, card, stream, ahead)
        made, stopped = await numbers.made("slow"), ahead.consumed
        await _stall(stage, card, made)
        grown = await numbers.made("slow") - made
    most = max(ahead.most, made - stopped)
    card.brief = f"at most {most} ahead of a slow consumer, buffer_size={SLOW_BUFFER_SIZE}"
    card.judge(
        f"Never over buffer_size={SLOW_BUFFER_SIZE} ahead",
        f"at most {most} ahead, over {number(made)} items",
        held=0 < most <= SLOW_BUFFER_SIZE and grown == 0,
    )


async def _keep_up(stage: Stage, card: Card, numbers: Numbers) -> None:
    """Consume a stream as fast as it comes, and show the rate."""
    began = last = time.perf_counter()
    until, count, counted = stage.until(2.5), 0, 0
    rates: deque[float] = deque(maxlen=CHART)
    async with penstock.Stream.of(numbers.count("fast")) as stream:
        async for batch in stream.batches():
            count += len(batch)
            now = time.perf_counter()
            if now < last + COLUMN_S:
                continue
            rates.append((count - counted) / (now - last))
            last, counted = now, count
            chart = tuple(rate / max(rates) for rate in rates)
            card.show(0, Row("keeping up", f"{number(count / (now - began))} items/s · {number(count)} items", levels=chart))
            if now > until:
                break
    card.judge("A fast consumer is fed fast", f"{number(count / (last - began))} items/s", held=count > 0)


async def _consume_slowly(stage: Stage, card: Card, stream: penstock.Stream[Number], ahead: RunAhead) -> None:
    numbers = stage.peer.service(Numbers)
    until = stage.until(4)
    while time.perf_counter() < until:
        ahead.consume(await stream.receive())  # a loop over the stream would end the call when it is left
        await asyncio.sleep(0.02)
        made = await numbers.made("slow")
        _show_slow(card, stream, ahead, made)


def _show_slow(card: Card, stream: penstock.Stream[Number], ahead: RunAhead, made: int) -> None:
    now, stats = made - ahead.consumed, stream.statistics()
    card.show(
        1,
        Row("then slow", f"consumed {number(ahead.consumed)}, {ahead.rate:.0f} items/s · produced {number(made)}"),
        Row(
            "ahead",
            f"{now:2} of {SLOW_BUFFER_SIZE} · most so far {max(now, ahead.most)}",
            now / SLOW_BUFFER_SIZE,
            slots=SLOW_BUFFER_SIZE,
        ),
        Row(
            "here",
            f"{stats.buffered:2} buffered · credit left {stats.credit}",
            stats.buffered / SLOW_BUFFER_SIZE,
            slots=SLOW_BUFFER_SIZE,
        ),
    )


async def _stall(stage: Stage, card: Card, made: int) -> None:
    numbers, began, until = stage.peer.service(Numbers), time.perf_counter(), stage.until(1.5)
    while time.perf_counter() < until:
        grown = await numbers.made("slow") - made
        card.show(4, Row("then stopped", f"the producer made {grown} more in {time.perf_counter() - began:.1f} s"))
        await asyncio.sleep(0.1)


# ── a chat: both ways at the same time ────────────────────────────────────────────────────────────────────────────────

SCRIPT: Final = [
    ("Ada", "Is the gate open?"),
    ("Grace", "Sixteen items wide."),
    ("Ada", "And when I stop reading?"),
    ("Grace", "Then I stop making. No queue stands in between."),
    ("Ada", "Last time I left in the middle of your loop."),
    ("Grace", "My clean-up ran before you had closed the door."),
    ("Ada", "So the water stays behind the dam."),
    ("Grace", "Until somebody asks for it."),
]


class Participant:
    """One of the two people in the chat: one call carries the lines that they say and the lines that they hear."""

    def __init__(self, name: str, peer: penstock.Peer) -> None:
        self.name = name
        self.heard: list[tuple[ChatLine, int]] = []
        pipe: tuple[penstock.Sink[str], penstock.Source[str]] = penstock.pipe()
        self.say, lines = pipe
        self._stream = penstock.Stream.of(peer.service(Chat).join(name, lines))
        self._news = asyncio.Event()

    async def listen(self) -> None:
        """Hear until the call ends."""
        async for line in self._stream:
            self.heard.append((line, time.perf_counter_ns()))
            self._news.set()

    async def hear(self, text: str) -> int:
        """Wait until `text` was heard, and return when that was."""
        while not (times := [at for line, at in self.heard if line.text == text]):
            self._news.clear()
            await self._news.wait()
        return times[0]

    def spoken(self) -> list[tuple[str, str]]:
        """Return the lines of people, without those of the room itself."""
        return [(line.name, line.text) for line, _at in self.heard if line.name]


async def chat(stage: Stage, card: Card) -> None:
    """Two participants on two connections, over two transports where the system has two, in one room."""
    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(penstock.connect(url)) for url in (stage.server.urls[0], stage.server.urls[-1])
        ]
        async with asyncio.TaskGroup() as group:
            ada, grace = [Participant(name, peer) for name, peer in zip(("Ada", "Grace"), peers, strict=True)]
            group.create_task(ada.listen())
            group.create_task(grace.listen())
            delays = await _talk(stage, card, ada, grace)
    both = ada.spoken() == grace.spoken() == SCRIPT
    ways = " and ".join(sorted({peer.remote.partition(":")[0] for peer in peers}))
    median = ms(percentile(delays, 0.5))
    card.brief = f"{len(delays)} lines in order over {ways}, {median} each"
    card.judge("Both sides talk in one call", f"{len(delays)} lines in order, median {median}", held=both)


async def _talk(stage: Stage, card: Card, ada: Participant, grace: Participant) -> list[int]:
    """Let the two say their lines in turn; return the delay of each line in ns."""
    delays: list[int] = []
    lines: deque[Row] = deque(maxlen=card.height)
    await ada.hear("Ada came in")
    await grace.hear("Grace came in")
    for name, text in SCRIPT:
        speaker, listener = (ada, grace) if name == "Ada" else (grace, ada)
        sent_ns = time.perf_counter_ns()
        await speaker.say.send(text)
        delays.append(await listener.hear(text) - sent_ns)
        lines.append(Row(name, f"{text} ({ms(delays[-1])})"))
        card.show(0, *lines)
        card.latest = tuple(lines)[-1:]
        await stage.pause(0.45)
    ada.say.close()
    grace.say.close()
    return delays
