"""Actors: asked, told, started, kept; in one process and from another. Which peers, which targets; how is in `_rounds.py`."""

from __future__ import annotations

from dataclasses import replace

from benchmarks._processes import Pair, SideFailed
from benchmarks._rounds import Bench, Contender, open_pair
from benchmarks.figures._abc import Goal, Outcome, Row, Verdict, compare

_WIDTH = {"width": 100}
_OURS, _OURS_MODERN, _MAILBOX = "penstock", "penstock, as casty", "penstock by the mailbox, as casty"
_SPAWNS_PER_S = 20_000
_IDLE_ACTORS, _IDLE_WARM_UP, _IDLE_BYTES = 10_000, 500, 4096
_HISTORY_LEAST = 0.75


def _local(operation: str, peers: dict[str, str], **arguments: object) -> list[Contender]:
    """Penstock on this Python and on Casty's, and the peers: label → interpreter."""
    sides = {
        "casty 0.22.1": "actors-casty22-local",
        "casty 0.30.2": "actors-casty30-local",
        "thespian": "actors-thespian-local",
        "pykka": "actors-pykka-local",
    }
    ours = [
        Contender(_OURS, "actors-penstock-local", operation, "memory", arguments=arguments),
        Contender(_OURS_MODERN, "actors-penstock-local", operation, "memory", "modern", arguments),
        Contender(_MAILBOX, "actors-penstock-mailbox-local", operation, "memory", "modern", arguments),
    ]
    return ours + [Contender(peer, sides[peer], operation, "memory", python, arguments) for peer, python in peers.items()]


_PEERS = {"casty 0.22.1": "modern", "casty 0.30.2": "casty30", "thespian": "main", "pykka": "main"}


def _goals(castys: float | None, others: float | None) -> list[Goal]:
    goals = [Goal(_OURS_MODERN, peer, castys) for peer in ("casty 0.22.1", "casty 0.30.2")]
    goals += [Goal(_MAILBOX, peer) for peer in ("casty 0.22.1", "casty 0.30.2")]
    return goals + [Goal(_OURS, peer, others) for peer in ("thespian", "pykka")]


def ask(bench: Bench) -> Outcome:
    """An actor in this process asked, once after the other."""
    return compare(_shorter(bench), "ask, one process", _local("ask", _PEERS), _goals(1.5, 3))


def ask_in_flight(bench: Bench) -> Outcome:
    """The same, a hundred at a time."""
    contenders = _local("ask_in_flight", _PEERS, **_WIDTH)
    return compare(_shorter(bench), "ask, one process, 100 in flight", contenders, _goals(1.5, 3))


def tell(bench: Bench) -> Outcome:
    """An actor in this process told, until it has handled all."""
    return compare(_shorter(bench), "tell, one process", _local("tell", _PEERS), _goals(1.5, 3))


def spawn(bench: Bench) -> Outcome:
    """Actors started, one after the other."""
    once = replace(_shorter(bench), loops=bench.loops[:1])
    outcome = compare(once, "spawn", _local("spawn", _PEERS), _goals(None, None))
    least = _least(outcome, once.loops[0], _OURS, "spawn: penstock", _SPAWNS_PER_S)
    outcome.rows[:0] = least
    return outcome


def remote_ask(bench: Bench) -> Outcome:
    """An actor in another process asked, once after the other."""
    goals = [Goal(_OURS_MODERN, peer, None, "p50_us", "sooner") for peer in ("casty 0.22.1", "casty 0.30.2")]
    return compare(
        _shorter(bench), "ask, between processes", _remote("ask"), [*goals, Goal(_OURS, "thespian", None, "p50_us", "sooner")]
    )


def remote_ask_in_flight(bench: Bench) -> Outcome:
    """The same, a hundred at a time."""
    title = "ask, between processes, 100 in flight"
    goals = [Goal(_OURS_MODERN, "casty 0.22.1"), Goal(_OURS_MODERN, "casty 0.30.2", 1.5), Goal(_OURS, "thespian")]
    outcome = compare(_shorter(bench), title, _remote("ask_in_flight", **_WIDTH), goals)
    outcome.rows += [row for loop in bench.loops for row in _least(outcome, loop, _OURS, f"{title}: penstock", 30_000)]
    return outcome


def remote_tell(bench: Bench) -> Outcome:
    """An actor in another process told, until it has handled all. Casty 0.22.1 cannot."""
    title = "tell, between processes"
    contenders = [contender for contender in _remote("tell") if contender.label != "casty 0.22.1"]
    goals = [Goal(_OURS_MODERN, "casty 0.30.2", 1.5), Goal(_OURS, "thespian")]
    outcome = compare(_shorter(bench), title, contenders, goals)
    outcome.rows += [row for loop in bench.loops for row in _least(outcome, loop, _OURS, f"{title}: penstock", 300_000)]
    return outcome


def _remote(operation: str, **arguments: object) -> list[Contender]:
    return [
        Contender(_OURS, "actors-penstock", operation, arguments=arguments),
        Contender(_OURS_MODERN, "actors-penstock", operation, python="modern", arguments=arguments),
        Contender("casty 0.22.1", "actors-casty22", operation, python="modern", arguments=arguments),
        Contender("casty 0.30.2", "actors-casty30", operation, python="casty30", arguments=arguments),
        Contender("thespian", "actors-thespian", operation, "memory", arguments=arguments),  # it starts its own processes
    ]


def history(bench: Bench) -> Outcome:
    """What is left of the asks, 100 in flight, when a history keeps every one: between processes, by the mailbox, at once."""
    pairs = (
        ("between processes", "actors-penstock", "actors-penstock-history", "tcp"),
        ("by the mailbox", "actors-penstock-mailbox-local", "actors-penstock-history-mailbox-local", "memory"),
        ("handled at once", "actors-penstock-local", "actors-penstock-history-local", "memory"),
    )
    contenders, goals = [], []
    for where, without, kept, transport in pairs:
        contenders += [
            Contender(f"with a history, {where}", kept, "ask_in_flight", transport, arguments=_WIDTH),
            Contender(f"without, {where}", without, "ask_in_flight", transport, arguments=_WIDTH),
        ]
        limit = _HISTORY_LEAST if transport == "tcp" else None
        goals.append(Goal(f"with a history, {where}", f"without, {where}", limit))
    return compare(_shorter(bench), "ask with a history", contenders, goals)


def _shorter(bench: Bench) -> Bench:
    return replace(bench, seconds=bench.seconds / 2)


def _least(outcome: Outcome, loop: str, label: str, figure: str, least: float) -> list[Row]:
    """The row for a rate that the design asks for, whoever the peers are."""
    answers = outcome.rounds[loop]["answers"]
    assert isinstance(answers, dict)
    if label not in answers:
        return []
    best = max(answer["per_s"] for answer in answers[label])
    verdict: Verdict = "met" if best >= least else "missed"
    return [Row(figure, loop, f"≥ {least / 1e3:g} k/s", f"{best / 1e3:.1f} k/s at best", "—", "—", verdict)]


def idle(bench: Bench) -> Outcome:
    """What an actor costs while nothing happens: growth of the process ÷ actors."""
    outcome = Outcome("idle actor", "bytes")
    loop = bench.loops[0]
    figure, target = f"idle actor ({_IDLE_ACTORS:,})", "≤ 4 KiB"
    found: dict[str, float] = {}
    for contender in _local("hold", {peer: _PEERS[peer] for peer in ("casty 0.22.1", "casty 0.30.2", "thespian")}):
        bench.progress.step(f"{figure} · {loop} · {contender.label}")
        try:
            with open_pair(bench, loop, contender) as pair:
                found[contender.label] = _each(pair)
        except SideFailed as why:
            outcome.rows.append(Row(figure, loop, target, "—", contender.label, "—", "not measured", f"{figure}: {why}"))
    outcome.rounds[loop] = dict(found)
    outcome.rows += _idle_rows(figure, loop, target, found)
    return outcome


def _each(pair: Pair) -> float:
    before = pair.driver.ask("hold", count=_IDLE_WARM_UP)
    return float(pair.driver.ask("hold", count=_IDLE_ACTORS) - before) / _IDLE_ACTORS


def _idle_rows(figure: str, loop: str, target: str, found: dict[str, float]) -> list[Row]:
    ours = found.pop(_OURS, None)
    if ours is None:
        return []
    verdict: Verdict = "met" if ours <= _IDLE_BYTES else "missed"
    peers = ", ".join(f"{label} {size:,.0f} B" for label, size in found.items())
    return [Row(figure, loop, target, f"{ours:,.0f} B", peers, "—", verdict)]
