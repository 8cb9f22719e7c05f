"""`penstock serve`, in real processes: what can be served, what is told when it cannot, how it stops."""

from __future__ import annotations

import shlex
import signal

import pytest

from penstock.cli._run import STILL_STOPPING

pytestmark = pytest.mark.processes

ANY = ("--listen", "tcp://127.0.0.1:0")


@pytest.mark.parametrize(("name", "says"), [("make", "made"), ("make_slowly", "made slowly"), ("ready", "ready made")])
def test_an_object_or_what_a_function_returns_is_served(start, run, name, says, shop_file, announced):
    server = start("serve", f"shop:{name}", *ANY, cwd=shop_file.parent)
    (url,) = announced(server)
    assert run("call", url, "Demanding/where").stdout == f'"{says}"\n'


def test_a_context_manager_is_open_while_it_serves(start, shop_file, announced):
    server = start("serve", f"{shop_file}:opened", *ANY)
    assert server.stdout.readline() == "opened\n"
    announced(server)
    server.terminate()
    assert server.wait(10) == 0
    assert server.stdout.read() == "closed\n"


def test_the_line_it_suggests_works(start, run, shop_file):
    server = start("serve", f"{shop_file}:Prices", *ANY)
    line = next(line for line in server.stdout if line.startswith("try "))
    words = shlex.split(line)[2:]
    assert words[:1] == ["call"]
    assert words[2:] == ["Prices/quote", '{"symbol":"text"}']
    assert run(*words).returncode == 0


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["shpo:Prices"], "no module 'shpo' in "),
        (["shpo:Prices"], "did you mean 'shop'?"),
        (["shpo.py:Prices"], "did you mean 'shop.py'?"),
        (["shop:Price"], "shop:Price cannot be served: Price has no public async method"),
        (["shop:Pirces"], "shop has no 'Pirces'; did you mean 'Prices'?"),
        (["shop"], "say which one to serve: shop:Prices or shop:Oddities"),
        (["shop:Demanding"], "missing a required argument: 'path'"),
        (["shop:Broken"], "OSError: no disk"),
        (["shop:Unserialisable"], "Unserialisable.get: parameter `thing`: Thing cannot travel"),
        (["shop:Nothing"], "Nothing has no public async method"),
        (["shop:make", "shop:ready"], "two services answer to Demanding/where"),
        (["shop:Prices", "--listen", "tls://127.0.0.1:0"], "--dev-tls"),
        (["shop:Prices", "--listen", "tpc://127.0.0.1:0"], "did you mean tcp://?"),
        (["shop:Prices", "--dev-tls"], "is not encrypted"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_served_is_told(run, given, text, shop_file):
    done = run("serve", *given, cwd=shop_file.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr


def test_an_address_in_use_is_told(run, url, shop_file):
    done = run("serve", f"{shop_file}:Prices", "--listen", url)
    assert (done.returncode, done.stdout) == (78, "")
    assert "the port is taken" in done.stderr


def test_what_raises_when_it_is_imported_is_shown_where(run, tmp_path):
    (tmp_path / "raises.py").write_text("def load():\n    return 1 / 0\n\nload()\n")
    done = run("serve", "raises:Prices", cwd=tmp_path)
    assert done.returncode == 2
    assert 'raises.py", line 2, in load' in done.stderr
    assert "importlib" not in done.stderr
    assert done.stderr.endswith("penstock: raises could not be imported: ZeroDivisionError: division by zero\n")


# ── errors of handlers ────────────────────────────────────────────────────────────────────────────────────────────────


def test_exposed_errors_reach_the_caller_and_the_log_has_all(start, run, shop_file, announced):
    server = start("serve", f"{shop_file}:Oddities", *ANY, "--expose-errors")
    (url,) = announced(server)
    done = run("call", url, "Oddities/crash")
    assert done.returncode == 77
    assert "ZeroDivisionError: secret" in done.stderr
    server.terminate()
    assert "ZeroDivisionError: secret" in server.communicate(timeout=10)[1]


# ── stopping ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_idle_server_stops_at_once(start, number, shop_file, announced):
    server = start("serve", f"{shop_file}:Prices", *ANY)
    announced(server)
    server.send_signal(number)
    assert server.wait(10) == 0
    assert server.stderr.read() in {"", f"penstock: {STILL_STOPPING}\n"}  # on a busy machine


def test_a_call_that_runs_may_end_within_the_grace_time(start, shop_file, announced):
    server = start("serve", f"{shop_file}:Prices", *ANY)
    (url,) = announced(server)
    call = start("call", url, "Prices/watch", '{"symbol": "x", "count": 5, "pause_s": 0.1}')
    assert call.stdout.readline()
    server.terminate()
    assert call.wait(10) == 0
    assert len(call.stdout.readlines()) == 4
    assert server.wait(10) == 0
    assert "a second signal stops at once" in server.stderr.read()


def test_after_the_grace_time_calls_are_cancelled(start, shop_file, announced):
    server = start("serve", f"{shop_file}:Prices", *ANY, "--grace", "0.2")
    (url,) = announced(server)
    call = start("call", url, "Prices/watch", '{"symbol": "x", "pause_s": 0.02}')
    assert call.stdout.readline()
    server.terminate()
    assert server.wait(10) == 0
    assert "calls that still ran after 0.2 s were cancelled" in server.stderr.read()
    assert call.wait(10) == 78


def test_the_second_signal_stops_at_once(start, shop_file, announced):
    server = start("serve", f"{shop_file}:Prices", *ANY, "--grace", "60")
    (url,) = announced(server)
    call = start("call", url, "Prices/watch", '{"symbol": "x", "pause_s": 0.02}')
    assert call.stdout.readline()
    server.send_signal(signal.SIGINT)
    assert any("stopping" in line for line in server.stderr)  # a busy machine may have held up its loop: that is told, too
    server.send_signal(signal.SIGINT)
    assert server.wait(10) == 130
    assert call.wait(10) == 78


def test_it_serves_http_to_the_pages_of_an_origin(start, run, shop_file):
    import httpx

    server = start("serve", f"{shop_file}:Prices", "--listen", "http://127.0.0.1:0", "--origin", "http://localhost:5173")
    line = next(line for line in server.stdout if line.startswith("try "))
    words = shlex.split(line)[2:]
    assert run(*words).returncode == 0
    url = words[1].replace("ws://", "http://")
    page, other = ({"origin": origin} for origin in ("http://localhost:5173", "http://localhost:5174"))
    answered = httpx.post(f"{url}/call/Prices/quote", json={"symbol": "A"}, headers=page)
    assert (answered.status_code, answered.headers["access-control-allow-origin"]) == (200, page["origin"])
    assert httpx.post(f"{url}/call/Prices/quote", json={"symbol": "A"}, headers=other).status_code == 403
