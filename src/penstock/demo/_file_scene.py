"""The scene of the large file, with small calls beside it, in the client process."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from typing import Final

import penstock
from penstock.demo._board import Card, Row, ms, number, percentile, size
from penstock.demo._metrics import Metrics, resident_bytes
from penstock.demo._services import CHUNK_BYTES, Files
from penstock.demo._stage import MB, SAMPLE_FILE, Stage, first_of

#: Time between two small calls: enough calls to measure, few enough to leave the processors to the file.
CALL_EVERY_S: Final = 0.001
SHOW_CALLS_EVERY_S: Final = 0.25
UPLOAD_BYTES: Final = 64 * MB
#: Durations of small calls that are kept; the scene ends long before this limit.
CALLS_MAX: Final = 1_000_000
#: The promise: calls stay below this, which a person does not notice, beside a stream that uses both cores.
BESIDE_P99_MAX_NS: Final = 50_000_000
#: How much a process may grow while the file flows through it: windows, buffers and slack of the allocator.
GROWTH_BYTES_MAX: Final = 64 * MB


class SmallCalls:
    """Small calls, one after the other, with their durations."""

    def __init__(self, peer: penstock.Peer) -> None:
        self.taken_ns: list[int] = []
        self._metrics = penstock.options(peer.service(Metrics), priority="interactive", timeout=10)

    async def run(self) -> None:
        """Call until cancelled."""
        while len(self.taken_ns) < CALLS_MAX:
            began = time.perf_counter_ns()
            await self._metrics.uptime_s()
            self.taken_ns.append(time.perf_counter_ns() - began)
            await asyncio.sleep(CALL_EVERY_S)

    async def show(self, card: Card, at: int, label: str) -> None:
        """Show their percentiles until cancelled, four times a second: sorting all durations takes time, too."""
        while True:
            await asyncio.sleep(SHOW_CALLS_EVERY_S)
            card.show(at, Row(label, str(self)))

    def p99(self) -> int:
        """Return the 99th percentile of the durations, in ns."""
        return percentile(self.taken_ns, 0.99)

    def __str__(self) -> str:
        return f"p50 {ms(percentile(self.taken_ns, 0.5))} · p99 {ms(self.p99())} · {number(len(self.taken_ns))} calls"


async def file(stage: Stage, card: Card) -> None:
    """Download a large file while small calls go on; then upload a part of it."""
    idle, beside = SmallCalls(stage.peer), SmallCalls(stage.peer)
    await first_of(stage.pause(1.5), idle.run(), idle.show(card, 0, "calls alone"))
    await first_of(_downloads(stage, card, beside), beside.run(), beside.show(card, 1, "calls beside"))
    card.show(0, Row("calls alone", str(idle)), Row("calls beside", str(beside)))
    ratio = beside.p99() / (idle.p99() or 1)
    measured = f"p99 {ms(beside.p99())}, alone {ms(idle.p99())} ({ratio:.1f} ×)"
    card.judge("Small calls go on beside it", measured, held=bool(beside.taken_ns) and beside.p99() < BESIDE_P99_MAX_NS)
    await _upload(stage, card)
    await _outside(stage, card)


# ── down ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _downloads(stage: Stage, card: Card, beside: SmallCalls) -> None:
    """Download the whole file, again and again until there is enough to measure."""
    files = penstock.options(stage.peer.service(Files), priority="bulk")
    info = await files.info(SAMPLE_FILE)
    before = resident_bytes(), await stage.peer.service(Metrics).resident_bytes()
    began, until, count, whole = time.perf_counter(), stage.until(3), 0, True
    while count == 0 or time.perf_counter() < until:
        whole &= info.sha256 == stage.file.sha256 == await _download(stage, card, files)
        count += 1
    seconds = time.perf_counter() - began
    after = resident_bytes(), await stage.peer.service(Metrics).resident_bytes()
    rate = f"{size(count * info.size / seconds)}/s"
    times = f"{count} × {size(info.size)}" if count > 1 else size(info.size)
    verdict = "equal" if whole else "DIFFERENT"
    card.show(2, Row("down", f"{times} · {rate} · SHA-256 {info.sha256[:8]}… {verdict}"))
    card.brief = f"{times}, {rate}, SHA-256 {verdict}; calls p99 {ms(beside.p99())}"
    card.judge("A large file comes whole", f"{times}, {rate}, SHA-256 {verdict}", held=whole)
    grown = max(now - then for now, then in zip(after, before, strict=True))
    measured = f"{size(count * info.size)} through, +{size(max(grown, 0))} held"
    card.judge("Memory does not grow with it", measured, held=grown < GROWTH_BYTES_MAX)


async def _download(stage: Stage, card: Card, files: Files) -> str:
    """Download the file once; return its SHA-256."""
    digest, arrived, began = hashlib.sha256(), 0, time.perf_counter()
    stream = penstock.Stream.of(files.read(SAMPLE_FILE))
    async for chunk in stream:
        await asyncio.to_thread(digest.update, chunk)
        arrived += len(chunk)
        stats, rate = stream.statistics(), arrived / (time.perf_counter() - began)
        card.show(
            2,
            Row("down", f"{size(arrived)} · {size(rate)}/s", arrived / stage.file.size),
            Row(
                "stream",
                f"{stats.buffered} chunks of {CHUNK_BYTES // 1024} KiB buffered · credit left {stats.credit}",
            ),
        )
    return digest.hexdigest()


# ── up ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _upload(stage: Stage, card: Card) -> None:
    """Upload the beginning of the file under another name."""
    files, digest, began = stage.peer.service(Files), hashlib.sha256(), time.perf_counter()
    total = min(UPLOAD_BYTES, stage.file.size)

    async def chunks() -> AsyncIterator[bytes]:
        with await asyncio.to_thread((stage.workspace / "files" / SAMPLE_FILE).open, "rb") as source:
            sent = 0
            while chunk := await asyncio.to_thread(source.read, min(CHUNK_BYTES, total - sent)):
                sent += len(chunk)
                digest.update(chunk)
                rate = sent / (time.perf_counter() - began)
                card.show(4, Row("up", f"{size(sent)} · {size(rate)}/s", sent / total))
                yield chunk

    summary = await files.upload("back.bin", chunks())
    rate = f"{size(total / (time.perf_counter() - began))}/s"
    whole = (summary.sha256, summary.size) == (digest.hexdigest(), total)
    verdict = "equal" if whole else "DIFFERENT"
    card.show(4, Row("up", f"{size(summary.size)} · {rate} · SHA-256 {summary.sha256[:8]}… {verdict}"))
    card.judge("An upload arrives whole", f"{size(summary.size)}, {rate}, SHA-256 {verdict}", held=whole)


async def _outside(stage: Stage, card: Card) -> None:
    """Ask for a file outside of the served folder."""
    path = "../../../../etc/passwd"
    try:
        await stage.peer.service(Files).info(path)
        answer = "answered!"
    except penstock.StatusError as error:
        answer = type(error).__name__
    card.show(5, Row("outside", f"{path} → {answer}"))
    card.judge("Paths outside are refused", answer, held=answer == penstock.PermissionDenied.__name__)
