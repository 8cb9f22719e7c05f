"""`penstock demo`, played in processes of its own, and what its parts promise."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console

import penstock
from penstock.demo import _end_scenes, _run, _services, _view, run_demo
from penstock.demo._board import Board, Row, size
from penstock.demo._metrics import Metrics
from penstock.demo._scenes import RunAhead
from penstock.demo._services import LINES_WAITING_MAX, Chat, Files, Number, Numbers
from penstock.demo._stage import DemoError, server_process, write_file

PROGRAM = "from penstock.demo import run_demo; raise SystemExit(run_demo(plain={plain}, file_mb=4, seconds=3))"
PROMISES = 12
#: The two promises that compare times on the clock of the machine, when they are broken.
PACE = ("✗ BROKEN Live samples go on beside it all", "✗ BROKEN Small calls go on beside it")
LOAD_MAX = 2 * (os.cpu_count() or 1)


def _play(folder: Path, *, plain: bool = True) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-u", "-c", PROGRAM.format(plain=plain)]
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, "TMPDIR": str(folder)})


def _started_in(folder: Path) -> list[psutil.Process]:
    """Every process that was given a path in that folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(folder) in word for word in process.cmdline()):
                found.append(process)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the demo puts its files; whatever it leaves running there is ended."""
    yield tmp_path
    for process in _started_in(tmp_path):
        process.kill()


def _wait_for(played: subprocess.Popen[str], text: str) -> None:
    assert any(text in line for line in played.stdout), played.stderr.read()


def _nothing_left(folder: Path) -> bool:
    return not _started_in(folder) and not list(folder.iterdir())


@pytest.mark.processes
@pytest.mark.slow
def test_it_plays_to_the_end_and_every_promise_holds(folder):
    with _play(folder, plain=False) as played:  # a pipe is no terminal, so it is plain without being asked
        said, errors = played.communicate(timeout=50)
    held = PROMISES
    if os.getloadavg()[0] > LOAD_MAX:  # on which each process waits for its turn, and times say nothing of ours
        held -= sum(promise in said for promise in PACE)
    assert (played.returncode == 0) == (held == PROMISES), said + errors
    assert errors == ""
    assert "\x1b" not in said
    assert said.count("✓ held") == held
    assert f"{held} of {PROMISES} promises held" in said
    for scene in ("Metrics", "Slow consumer", "Files", "Chat", "Leaving", "Losing"):
        assert f" {scene}: " in said
    assert _nothing_left(folder)


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "number", "code"),
    [("Slow consumer: ", signal.SIGINT, 130), ("Slow consumer: ", signal.SIGTERM, 143), ("Losing: ", signal.SIGTERM, 143)],
)
def test_one_that_is_stopped_leaves_nothing_behind(folder, number, code, scene):
    with _play(folder) as played:
        _wait_for(played, scene)
        assert _started_in(folder)
        played.send_signal(number)
        _said, errors = played.communicate(timeout=20)
    assert played.returncode == code
    assert errors == "penstock demo: stopped; its processes have ended and its files are removed\n"
    assert _nothing_left(folder)


@pytest.mark.processes
@pytest.mark.slow
def test_the_server_ends_and_clears_up_when_the_demo_is_killed(folder):
    with _play(folder) as played:
        _wait_for(played, "Slow consumer: ")
        played.kill()
    until = time.monotonic() + 10
    while not _nothing_left(folder) and time.monotonic() < until:
        time.sleep(0.05)
    assert _nothing_left(folder)


@pytest.mark.processes
async def test_a_server_that_ends_by_itself_is_noticed(folder):
    write_file(folder, 1)
    async with server_process(folder) as server:
        server.kill()
        with pytest.raises(DemoError, match="ended by itself with code -9"):
            await server.watch()


def test_a_machine_without_psutil_is_told_which_extra_to_install(monkeypatch, capsys):
    monkeypatch.setattr(_run, "is_available", lambda: False)
    assert run_demo(plain=True) == 1
    assert "penstock[demo]" in capsys.readouterr().err


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DemoError, match="MB are needed"):
        write_file(tmp_path, 10**9)
    assert not list((tmp_path / "files").iterdir())


def test_a_broken_promise_makes_the_exit_code_one(monkeypatch, capsys, tmp_path):
    async def play(self: _run.Demo, workspace: Path) -> None:
        self.board.cards[0].judge("It holds", "it did", held=True)
        self.board.cards[1].judge("It holds too", "it did not", held=False)

    monkeypatch.setattr(_run.Demo, "play", play)
    assert run_demo(plain=True) == 1
    assert "✗ BROKEN It holds too" in capsys.readouterr().out


# ── the services ──────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def _peer(*services: object) -> AsyncIterator[penstock.Peer]:
    async with penstock.serve(*services, listen="memory://demo"), penstock.connect("memory://demo") as peer:
        yield peer


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../secret", "link", "", "."])
async def test_files_outside_of_the_folder_are_refused(tmp_path, path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "link").symlink_to(tmp_path / "secret")
    async with _peer(Files(tmp_path / "files")) as peer:
        files = peer.service(Files)
        with pytest.raises(penstock.PermissionDenied):
            await files.info(path)
        with pytest.raises(penstock.PermissionDenied):
            async for _chunk in files.read(path):
                pass
        with pytest.raises(penstock.PermissionDenied):
            await files.upload(path, [b"x"])
    assert (tmp_path / "secret").read_text() == "secret"


@pytest.mark.parametrize("path", ["nothing", "folder", "fifo"])
async def test_a_file_that_is_not_there_is_not_found(tmp_path, path):
    """FAULTS H6: a FIFO in the folder would block the server until a process writes into it."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    async with _peer(Files(tmp_path)) as peer:
        with pytest.raises(penstock.NotFound):
            await peer.service(Files).info(path)
        with pytest.raises(penstock.NotFound):
            async for _chunk in peer.service(Files).read(path):
                pass


async def test_a_path_that_is_none_is_refused_with_its_reason(tmp_path):
    async with _peer(Files(tmp_path)) as peer:
        with pytest.raises(penstock.InvalidArgument, match="not a path"):
            await peer.service(Files).info("a\0b")


async def test_a_file_goes_and_comes_back_whole(tmp_path):
    content = os.urandom(1_000_000)
    async with _peer(Files(tmp_path)) as peer:
        files = peer.service(Files)
        summary = await files.upload("new", [content[at : at + 70_000] for at in range(0, len(content), 70_000)])
        told = await files.info("new")
        assert b"".join([chunk async for chunk in files.read("new")]) == content
        with pytest.raises(penstock.AlreadyExists):
            await files.upload("new", [b"other"])
    assert (summary.size, summary.sha256, summary.chunks) == (len(content), hashlib.sha256(content).hexdigest(), 15)
    assert (told.size, told.sha256) == (summary.size, summary.sha256)


async def test_an_upload_that_does_not_come_whole_is_removed(tmp_path):
    async def chunks() -> AsyncIterator[bytes]:
        yield b"the beginning"
        raise penstock.Aborted("the disk that it came from is gone")

    async with _peer(Files(tmp_path)) as peer:
        with pytest.raises(penstock.Aborted):
            await peer.service(Files).upload("part", chunks())
    assert not list(tmp_path.iterdir())


async def test_everybody_hears_the_same_in_the_chat():
    async with _peer(Chat()) as peer:
        chat = peer.service(Chat)
        say, lines = penstock.pipe()
        ada = chat.join("Ada", lines)
        assert (await ada.receive()).text == "Ada came in"
        with pytest.raises(penstock.AlreadyExists):
            async for _line in chat.join("Ada", []):
                pass
        grace = chat.join("Grace", _lines("Hello."))
        heard = [(line.name, line.text) async for line in grace]
        assert heard == [("", "Grace came in"), ("Grace", "Hello.")]
        say.close()
        rest = [(line.name, line.text) async for line in ada]
        assert rest == [*heard, ("", "Grace left")]


async def _lines(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


async def test_who_does_not_listen_in_the_chat_is_shown_out(monkeypatch):
    monkeypatch.setattr(_services, "LINE_ROOM_S", 0.05)
    async with _peer(Chat()) as peer:
        chat = peer.service(Chat)
        _say, lines = penstock.pipe()
        sleepy = penstock.options(chat, buffer_size=1).join("Sleepy", lines)
        assert (await sleepy.receive()).text == "Sleepy came in"
        spoken = [f"line {number}" for number in range(2 * LINES_WAITING_MAX)]
        heard = [line.text async for line in chat.join("Ada", _lines(*spoken))]
        assert heard == ["Ada came in", *spoken]
        with pytest.raises(penstock.ResourceExhausted, match="Sleepy made no room"):
            async for _line in sleepy:
                pass


async def test_samples_describe_this_machine():
    async with _peer(Metrics()) as peer:
        sample = await peer.service(Metrics).samples(0.01).receive()
        with pytest.raises(penstock.InvalidArgument, match="the shortest is"):
            await peer.service(Metrics).samples(0).receive()
    assert len(sample.cores) == psutil.cpu_count()
    assert 0 < sample.memory_used < sample.memory_total == psutil.virtual_memory().total


@pytest.mark.parametrize("way", _end_scenes.WAYS.values(), ids=_end_scenes.WAYS)
async def test_every_way_of_leaving_runs_the_clean_up(way):
    async with _peer(Numbers()) as peer:
        numbers = penstock.options(peer.service(Numbers), timeout=10)
        left_ns = await way(numbers.count("run"))
        assert await numbers.freed_ns("run") > left_ns > 0
        assert await numbers.made("run") >= _end_scenes.TAKEN


# ── the figures and how they are drawn ────────────────────────────────────────────────────────────────────────────────


def test_how_far_a_producer_was_ahead_comes_from_the_times_of_both_sides():
    ahead = RunAhead()
    before_any = 0
    ahead.consume(Number(1, before_any))
    assert ahead.most == 1
    ahead.consume(Number(2, before_any))
    assert ahead.most == 2
    ahead.consume(Number(3, time.perf_counter_ns()))  # made after two were consumed
    assert ahead.most == 2
    assert ahead.consumed == 3


@pytest.mark.parametrize(("count", "text"), [(7, "7 B"), (64_000_000, "64.0 MB"), (200_000_000, "200 MB"), (1.6e9, "1.60 GB")])
def test_sizes_are_written_with_the_digits_that_matter(count, text):
    assert size(count) == text


@pytest.mark.parametrize("terminal", [(80, 24), (120, 40), (200, 60), (60, 20)], ids=str)
@pytest.mark.parametrize("running", range(6))
def test_the_view_fits_the_terminal_in_every_scene(terminal, running):
    width, height = terminal
    lines = _drawn(_board(running), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert sum("▶" in line for line in lines) == (1 if running == 0 else 2)
    title = _run.scenes()[running][0].title
    assert any(f"╭─ ▶ {title}" in line for line in lines)


def _board(running: int) -> Board:
    """A board in the middle of a scene, with lines that are longer than any terminal."""
    board = Board(*(card for card, _scene in _run.scenes()))
    for place, card in enumerate(board.cards):
        card.show(0, *[Row("label", "value " * 60, 0.5, slots=16), *[Row("label", "value " * 60, 0.5)] * (card.height - 1)])
        card.brief = "brief " * 60
        card.state = "running" if place in {0, running} else "held" if place < running else "waiting"
    return board


def _drawn(board: Board, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    for part in _view._page(board, width, height):
        console.print(part)
    return console.file.getvalue().splitlines()
