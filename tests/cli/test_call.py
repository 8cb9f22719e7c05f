"""`penstock call`, in real processes: four kinds, what goes in, what comes out, how it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.processes


def lines(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# ── the four kinds ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_unary_result_is_one_line(run, url):
    done = run("call", url, "Prices/quote", '"AAPL"')
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"symbol":"AAPL","value":42.0}\n', "")


def test_a_stream_of_results_is_one_line_each(run, shop):
    done = run("call", shop[1], "Prices/watch", '{"symbol": "unix", "count": 3}')
    assert lines(done) == [{"symbol": "unix", "value": float(n)} for n in range(3)]


def test_a_stream_of_requests_is_read_line_by_line(run, url):
    assert lines(run("call", url, "Prices/record", stdin='{"symbol":"a"}\n\n  \n{"symbol":"b"}')) == [2]


def test_both_directions_at_once(run, url):
    done = run("call", url, "Prices/trade", stdin='{"symbol":"a","value":2}\r\n{"symbol":"ü","value":3}\n')
    assert lines(done) == [{"symbol": "A", "value": 4.0}, {"symbol": "Ü", "value": 6.0}]


def test_both_directions_are_interactive(start, url):
    process = start("call", url, "Prices/trade")
    for number in range(3):
        process.stdin.write(json.dumps({"symbol": "x", "value": number}) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["value"] == 2 * number
    process.stdin.close()
    assert process.wait(10) == 0


def test_a_call_without_result_prints_null(run, url):
    assert run("call", url, "Oddities/nothing").stdout == "null\n"


# ── the argument ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "argument", "result"),
    [
        ("Prices/quote", '["A", 2]', {"symbol": "A", "value": 84.0}),
        ("Prices/quote", '{"factor": 0.5, "symbol": "A"}', {"symbol": "A", "value": 21.0}),
        ("Oddities/listed", '["a", "b", "c"]', 3),
        ("Oddities/wait", "-1", "waited"),
        ("Oddities/stored", '{"symbol": "single"}', "single"),
        ("Oddities/stored", '{"price": {"symbol": "by name"}}', "by name"),
        ("Oddities/bytes_and_time", '["AAEC", "2026-01-02T03:04:05Z"]', ["AgEA", "2026-01-03T03:04:05Z"]),
    ],
)
def test_the_argument_is_bound_by_name_by_place_or_as_one(run, url, method, argument, result):
    assert lines(run("call", url, method, argument)) == [result]


def test_a_dash_reads_the_argument_from_standard_input(run, url):
    assert lines(run("call", url, "Oddities/stored", "-", stdin='{\n  "symbol": "from stdin"\n}\n')) == ["from stdin"]


def test_a_dash_cannot_share_standard_input_with_the_items(run, url):
    done = run("call", url, "Prices/record", "-")
    assert done.returncode == 2
    assert "reads items from standard input" in done.stderr


def test_what_is_no_json_is_refused_before_anyone_is_called(run):
    done = run("call", "tcp://127.0.0.1:1", "Prices/quote", "AAPL")
    assert done.returncode == 2
    assert "a text is written in two pairs of quotes" in done.stderr


def test_metadata_travel(run, url):
    done = run("call", url, "Oddities/metadata", "-m", "token=a=b", "--metadata", "user=me")
    assert lines(done) == [{"token": "a=b", "user": "me"}]


def test_pretty_indents(run, url):
    done = run("call", url, "Prices/quote", '"A"', "--pretty")
    assert done.stdout == '{\n  "symbol": "A",\n  "value": 42.0\n}\n'


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["Prices/quote", "1"], 67, "argument `symbol`"),
        (["Prices/quote"], 67, "`symbol` is missing"),
        (["Prices/watch", '["A", 9]'], 67, "2 arguments where 1 are taken (symbol); by name only: count, pause_s"),
        (["Prices/qoute", '"A"'], 76, "did you mean 'quote'?"),
        (["Price/quote", '"A"'], 76, "did you mean 'Prices/quote'?"),
        (["quote", '"A"'], 76, "did you mean 'Prices/quote'?"),
        (["Prices"], 67, "Prices/quote, Prices/watch"),
        (["Oddities/crash"], 77, "its log has the text"),
        (["Oddities/wait", "60", "--timeout", "0.2"], 68, "--timeout"),
        (["Prices/watch", '{"symbol": "idle", "count": 9, "pause_s": 60}', "--idle-timeout", "0.2"], 68, "--idle-timeout"),
        (["Oddities/fail", '"PermissionDenied"'], 71, "penstock: PermissionDenied: as you\\x1b[31m\\nwished\n"),
        (["Oddities/nothing", "--dev-tls"], 2, "tls://"),
        (["Oddities/nothing", "-x"], 2, "No such option '-x'"),
        (["Oddities/nothing", "-m", "token"], 2, "key=value"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(run, url, arguments, code, text):
    done = run("call", url, *arguments)
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    if code > 2:
        assert done.stderr.startswith("penstock: ")
        assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("url", "code", "text"),
    [
        ("tcp://127.0.0.1:1", 78, "start the server"),
        ("unix:///nobody/here.sock", 78, "here.sock"),
        ("tpc://127.0.0.1:1", 2, "did you mean tcp://?"),
    ],
)
def test_a_server_that_is_not_there(run, url, code, text):
    done = run("call", url, "Prices/quote", '"A"')
    assert done.returncode == code, done.stderr
    assert text in done.stderr


def test_what_came_before_an_error_is_printed(run, url):
    done = run("call", url, "Oddities/half")
    assert (done.returncode, done.stdout) == (79, "1\n")
    assert "DataLoss: the second half is gone" in done.stderr


def test_a_line_that_is_no_json_is_named(run, url):
    done = run("call", url, "Prices/record", stdin='{"symbol":"a"}\n\n{"symbol":}\n')
    assert (done.returncode, done.stdout) == (67, "")
    assert "line 3 of the input is not valid JSON" in done.stderr


def test_an_item_of_the_wrong_type_is_named_by_the_server(run, url):
    done = run("call", url, "Prices/record", stdin='{"symbol":"a"}\n{"symbol":1}\n')
    assert done.returncode == 67
    assert "item 1" in done.stderr
    assert f"penstock describe {url} Prices/record" in done.stderr


def test_a_server_that_dies_is_no_normal_end(start, announced, shop_file):
    server = start("serve", f"{shop_file}:Prices", "--listen", "tcp://127.0.0.1:0")
    (url,) = announced(server)
    process = start("call", url, "Prices/watch", '{"symbol": "dies", "pause_s": 0.01}')
    assert process.stdout.readline()
    server.kill()
    assert process.wait(10) == 78
    assert "ConnectionLost" in process.stderr.read()


def test_closed_standard_input_is_empty_input(url, environment):
    command = f"{sys.executable} -m penstock call {url} Prices/record <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=20, check=False, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


# ── leaving ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_call(start, url, happened, number, code):
    process = start("call", url, "Prices/watch", json.dumps({"symbol": number.name, "pause_s": 0.05}))
    assert process.stdout.readline()
    process.send_signal(number)
    assert process.wait(10) == code
    assert process.stderr.read() == ""
    assert happened(f"{number.name} left")


def test_ctrl_c_while_the_input_says_nothing(start, url, happened):
    process = start("call", url, "Prices/stall", '"quiet"')
    process.stdin.write("1\n")
    process.stdin.flush()
    happened("quiet took one")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert happened("quiet left")


@pytest.mark.parametrize(("name", "pause_s"), [("busy pipe", 0), ("idle pipe", 60)])
def test_a_closed_pipe_ends_the_call_quietly(start, url, happened, name, pause_s):
    process = start("call", url, "Prices/watch", json.dumps({"symbol": name, "pause_s": pause_s}))
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(10) == 141
    assert process.stderr.read() == ""
    assert happened(f"{name} left")


def test_head_takes_what_it_wants(url, environment):
    command = f"{sys.executable} -m penstock call {url} Prices/watch '\"head\"' | head -n 2; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=20, check=True, env=environment)
    assert done.stdout.splitlines() == ['{"symbol":"head","value":0.0}', '{"symbol":"head","value":1.0}', "141"]
    assert done.stderr == ""


def test_a_call_that_is_over_does_not_wait_for_its_input(start, url):
    process = start("call", url, "Prices/first")
    process.stdin.write("7\n")
    process.stdin.flush()
    assert process.stdout.readline() == "7\n"
    assert process.wait(10) == 0


# ── demand ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_input_is_read_no_faster_than_the_callee_wants(start, url, happened):
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        process = start("call", url, "Prices/stall", '"endless"', "--buffer-size", "4", stdin=reading)
        written = os.write(writing, b"1\n" * 1000)
        happened("endless took one")
        written += fill(writing)
        pipe_bytes, chunk_bytes = 64 * 1024, 64 * 1024
        assert written <= pipe_bytes + chunk_bytes
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    finally:
        os.close(reading)
        os.close(writing)


def fill(descriptor):
    """Write until nothing has moved for a while and return how much it was."""
    written, quiet = 0, 0
    while quiet < 10:
        try:
            written += os.write(descriptor, b"1\n" * 500)
            quiet = 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.02)
    return written


def test_a_producer_waits_for_who_reads_the_output(start, url, happened):
    process = start("call", url, "Prices/watch", '{"symbol": "unread"}', "--buffer-size", "16")
    line = process.stdout.readline()
    time.sleep(0.5)  # in which it could make tens of thousands
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    made = int(happened("unread left").rpartition(" ")[2])
    in_the_pipe = 2 * 64 * 1024 // len(line)  # the pipe, and what the reader of this test has buffered
    assert made <= in_the_pipe + 16 + 16 + 1


# ── at a terminal ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def terminal():
    """Both ends of a terminal."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    for end in (ours, theirs):
        os.close(end)


def test_items_are_typed_at_a_terminal(start, url, terminal):
    ours, theirs = terminal
    process = start("call", url, "Prices/record", stdin=theirs)
    assert "Ctrl-D ends" in process.stderr.readline()
    os.write(ours, b'{"symbol":"typed"}\n')
    os.write(ours, b"\x04")
    assert process.stdout.readline() == "1\n"
    assert process.wait(10) == 0


def test_the_terminal_stays_as_it_was(start, url, terminal):
    ours, theirs = terminal
    process = start("call", url, "Prices/first", stdin=theirs)
    process.stderr.readline()
    os.write(ours, b"1\n")
    assert process.wait(10) == 0
    assert os.get_blocking(theirs)
