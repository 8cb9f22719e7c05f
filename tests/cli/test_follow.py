"""`penstock follow`: a retained stream from a shell: from any item on, to its end, described and stopped."""

from __future__ import annotations

import json
import signal

import pytest

pytestmark = pytest.mark.processes


@pytest.fixture
def kept(run, url, request):
    """A stream of five items with a name of its own: it has ended, or goes on for a minute (``pause_s``)."""

    def keep(pause_s: float) -> str:
        name = f"{request.node.name}/{pause_s}"
        argument = json.dumps({"name": name, "count": 5, "pause_s": pause_s})
        if pause_s:
            with pytest.MonkeyPatch.context():
                done = run("call", url, "Oddities/keep", argument, "--idle-timeout", "0.3")
        else:
            done = run("call", url, "Oddities/keep", argument)
        assert [json.loads(line)["value"] for line in done.stdout.splitlines()] == [0, 1, 2, 3, 4]
        return name

    return keep


def values(done) -> list[float]:
    return [json.loads(line)["value"] for line in done.stdout.splitlines()]


def test_it_writes_the_items_to_the_end(run, url, kept):
    name = kept(0)
    done = run("follow", url, name)
    assert (done.returncode, values(done), done.stderr) == (0, [0, 1, 2, 3, 4], "")
    assert values(run("follow", url, name, "--since", "3")) == [3, 4]
    assert values(run("follow", url, name, "--since", "oldest")) == [0, 1, 2, 3, 4]
    assert values(run("follow", url, name, "--since", "now")) == []


def test_ctrl_c_ends_the_command_and_not_the_stream(run, start, url, kept):
    name = kept(60)
    process = start("follow", url, name)
    assert [json.loads(process.stdout.readline())["value"] for _ in range(5)] == [0, 1, 2, 3, 4]
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    described = json.loads(run("follow", url, name, "--describe").stdout)
    assert (described["state"], described["oldest"], described["next"]) == ("open", 0, 5)
    assert described["kept"].startswith("in memory")
    assert run("follow", url, name, "--stop").returncode == 0
    done = run("follow", url, name)
    assert (done.returncode, values(done)) == (65, [0, 1, 2, 3, 4])
    assert "was stopped" in done.stderr


def test_what_cannot_be_followed_is_said(run, url, kept):
    done = run("follow", url, "nowhere")
    assert (done.returncode, "stream 'nowhere' is not kept here" in done.stderr) == (69, True)
    done = run("follow", url, kept(0), "--since", "9")
    assert (done.returncode, "has 5 items so far" in done.stderr) == (75, True)
    done = run("follow", url, "x", "--since", "-1")
    assert (done.returncode, "--since" in done.stderr) == (2, True)
    assert run("follow", "tcp://127.0.0.1:1", "x").returncode == 78
