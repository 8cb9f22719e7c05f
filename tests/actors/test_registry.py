"""Names, ids and patterns: which are allowed, for how long one is taken, which actors one finds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import penstock
from penstock import Actor, ActorSystem, AlreadyExists, InvalidArgument, NotFound, Supervision, ref
from penstock._patterns import compiled
from penstock.actors import Router
from penstock.actors._registry import check_name
from tests.actors.kit import Counter, outcome, rest


@pytest.mark.parametrize("name", ["a", "chat/rooms/general", "A.b-c_9", "0", "x" * 256])
async def test_names_that_are_allowed(system, name):
    await system.spawn(Counter, name=name)
    assert await system.ask(name, "add", 1) == 1


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "a b",
        "ä",
        "名",
        "a\n",
        "a\x00",
        "../..\\",
        "x" * 257,
        "a?",
        "*",
        "a!b",
        ".",
        "..",
        "a/..",
        "a/../b",
        "./a",
        "-x",
        "a/-x",
    ],
)
async def test_names_that_are_not(system, name):
    """FAULTS D9: also parts that a path or an option of a command could be taken for."""
    with pytest.raises(InvalidArgument, match="is not a name for an actor: up to 256 ASCII letters"):
        await system.spawn(Counter, name=name)
    assert system.list() == []


async def test_names_below_names_are_no_longer_than_an_address_may_be(system):
    class Nests(Actor):
        async def nest(self, name: str) -> None:
            await self.spawn(Counter, name=name)

    nests = await system.spawn(Nests, name="n" * 200)
    with pytest.raises(InvalidArgument):
        await nests.nest("m" * 200)


async def test_a_name_is_taken_once_and_free_after_a_stop(system):
    await system.spawn(Counter, name="a")
    with pytest.raises(AlreadyExists, match="'a'"):
        await system.spawn(Counter, name="a")
    await system.stop("a")
    await system.spawn(Counter, name="a")


async def test_names_that_are_made_up_meet_no_others(system):
    class Foreign(Counter): ...

    Foreign.__name__ = "Größe"

    for number in range(200, 250):
        await system.spawn(Counter, name=f"counter-{number}")
    for _ in range(200):
        await system.spawn(Counter)
    assert len(system.list()) == 250
    address = ref(await system.spawn(Foreign)).address
    assert await system.ask(address, "add", 1) == 1
    check_name(address)


async def test_an_id_is_for_ever(system):
    first = await system.spawn(Counter, name="a")
    id_ = ref(first).id
    assert await system.ask(id_, "add", 1) == 1
    assert system.info(id_).address == "a"
    await system.stop(id_)
    await system.spawn(Counter, name="a")
    for verb in (system.info, system.ref, system.state):
        with pytest.raises(NotFound):
            verb(id_)
    with pytest.raises(NotFound):
        await system.ask(id_, "add", 1)


async def test_an_id_is_not_a_name(system):
    """FAULTS D9: an actor that had the id of another as its name took its messages; also in another system, and as a prefix."""
    id_ = ref(await system.spawn(Counter, name="a")).id
    async with ActorSystem() as other:
        for spawning in (system, other):
            for taken in (id_, f"ff-{system.id}"):
                with pytest.raises(InvalidArgument, match="form of an id"):
                    await spawning.spawn(Counter, name=taken)
        with pytest.raises(InvalidArgument, match="form of an id"):
            other.bridge(id_, system)
    await system.spawn(Counter, name=f"{id_}/x")
    await system.spawn(Counter, name=f"x-{system.id}")
    assert await system.ask(id_, "add", 1) == 1


class Far(Router):
    """A peer that says which actor is meant."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gone = False

    def ref(self, address):
        return f"{address} of {self.name}"

    def _ref_shown_as(self, address, shown):
        return self.ref(address)

    def _is_gone(self):
        return self.gone


async def test_an_address_means_the_actor_here_then_the_longest_prefix(system):
    """FAULTS D8: whatever came first."""
    long, short = Far("long"), Far("short")
    system.bridge("a/b", long)
    system.bridge("a", short)
    assert system.ref("a/b/c") == "c of long"
    assert system.ref("a/bc") == "bc of short"
    short.gone = True
    stub = await system.spawn(Counter, name="a/here")  # the peer is gone, so the name is free
    assert system.ref("a/here") == ref(stub)
    assert system.info("a/here").address == "a/here"
    assert await system.ask("a/here", "add", 1) == 1
    with pytest.raises(NotFound, match="at the other side of a bridge"):
        system.info("a/there")


async def test_a_name_behind_a_bridge_is_refused_and_so_is_a_bridge_before_an_actor(system):
    """FAULTS D8: a clash is refused, whatever comes first; also for the child of an actor."""

    class Nests(Actor):
        async def nest(self, name: str) -> None:
            await self.spawn(Counter, name=name)

    nests = await system.spawn(Nests, name="nests")
    system.bridge("far", Far("far"))
    system.bridge("nests/far", Far("far"))
    for name in ("far", "far/here", "far/a/b"):
        with pytest.raises(AlreadyExists, match="'far'"):
            await system.spawn(Counter, name=name)
    for name in ("far", "far/here"):
        with pytest.raises(AlreadyExists, match="'nests/far'"):
            await nests.nest(name)
    await system.spawn(Counter, name="farther/here")
    await nests.nest("child")
    for prefix in ("nests", "farther", "farther/here", "nests/child"):
        with pytest.raises(AlreadyExists, match="there is an actor"):
            system.bridge(prefix, Far("far"))


async def test_ids_differ_between_systems():
    async with ActorSystem() as one, ActorSystem() as two:
        assert ref(await one.spawn(Counter)).id != ref(await two.spawn(Counter)).id


async def test_what_is_not_there_says_what_may_have_been_meant(system):
    with pytest.raises(NotFound, match="no actor 'x' here"):
        system.ref("x")
    await system.spawn(Counter, name="counter")
    with pytest.raises(NotFound, match="did you mean 'counter'") as found:
        await system.tell("conter", "add", 1)
    assert not found.value.started


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**", ["chat", "chat/a", "chat/rooms/b", "chat/rooms/deep/c", "other"]),
        ("*", ["chat", "other"]),
        ("chat/*", ["chat/a"]),
        ("chat/**", ["chat/a", "chat/rooms/b", "chat/rooms/deep/c"]),
        ("chat/**/c", ["chat/rooms/deep/c"]),
        ("**/b", ["chat/rooms/b"]),
        ("*/rooms/?", ["chat/rooms/b"]),
        ("other", ["other"]),
        ("c*", ["chat"]),
        ("nothing/**", []),
        ("[a-z]", []),
        ("chat.a", []),
    ],
)
async def test_patterns(system, pattern, names):
    for name in ["chat", "chat/a", "chat/rooms/b", "chat/rooms/deep/c", "other"]:
        await system.spawn(Counter, name=name)
    assert [info.address for info in system.list(pattern)] == names
    assert not compiled("a/**/b").matches("ab")


async def test_an_actor_that_crashed_too_often_is_said_to_have_stopped_when_and_why(system):
    """FAULTS F9: by every verb, by name and by id, here and from elsewhere. The text of its error is for the log alone."""
    counter = await system.spawn(Counter, name="c", supervision=Supervision(max_restarts=0))
    await outcome(counter.crash("a secret"))
    await rest()
    why = r"it stopped at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: it crashed with Broken, and its supervision allows no restart$"
    async with penstock.serve(system, listen="memory://f9"), penstock.connect("memory://f9") as peer:
        for router in (system, peer):
            for name in ("c", ref(counter).id):
                for asked in (router.ask(name, "add", 1), router.open_channel(name)):
                    with pytest.raises(NotFound, match=why):
                        await asked
        with pytest.raises(NotFound, match=why):
            system.info("c")
    await system.spawn(Counter, name="c")
    assert await system.ask("c", "add", 1) == 1
    with pytest.raises(NotFound, match=why):
        await system.ask(ref(counter).id, "add", 1)


@pytest.mark.parametrize("pattern", ["*?*?*?*?*?*?*?*?!", "*?" * 127 + "!", "**a" * 85, "**/*/" * 51, "**" * 128])
@pytest.mark.parametrize("address", ["a" * 256, "a/" * 127 + "aa"])
async def test_no_pattern_is_slow(pattern, address):
    """FAULTS H15: `penstock list` blocked the node for hours. The time-out of the test is the bound."""
    assert compiled(pattern).matches(address) == (pattern in {"**a" * 85, "**" * 128})


async def test_a_pattern_has_a_bound(system):
    with pytest.raises(InvalidArgument, match="a pattern has up to 256 characters; this one has 257"):
        system.list("*" * 257)


_WORDS = st.sampled_from(["*", "**", "?", "/", "a", "b", ".", "\n", "/**/", "**/", "/**"])


@given(pattern=st.lists(_WORDS, max_size=7).map("".join), address=st.text("ab/.\n", max_size=8))
def test_a_pattern_means_what_the_regular_expression_means(pattern, address):
    meanings = {"/**/": "/(?:.+/)?", "**/": "(?:.+/)?", "/**": "/.+", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(/\*\*/|^\*\*/|/\*\*$|\*\*|\*|\?)", pattern)
    expression = "".join(meanings.get(piece, re.escape(piece)) for piece in pieces)
    assert compiled(pattern).matches(address) == bool(re.fullmatch(expression, address, re.DOTALL))
