"""What a table allows, and what it refuses."""

from __future__ import annotations

import pytest

import penstock
from penstock.auth import Access, Principal, Trust
from penstock.errors import Internal, InvalidArgument, PermissionDenied
from tests.auth.kit import tokens

MEMBER, ADMIN, NOBODY = Principal("m", roles={"member"}), Principal("a", roles={"member", "admin"}), Principal("n")
TABLE = Access(
    {
        "Prices/*": ["call", "stream"],
        "Orders": {"admin": ["call"]},
        "chat/rooms/*": {"member": ["ask", "stream", "channel"], "admin": ["stop", "tell"]},
        "/clock": ["ask"],
        "doors/*/open": {"member": ["tell"]},
        "board/*/news": ["subscribe"],
        "streams/run-*": ["follow"],
    }
)


@pytest.mark.parametrize(
    ("target", "verb", "allowed"),
    [
        ("Prices/watch", "stream", [MEMBER, ADMIN, NOBODY]),
        ("Prices/watch", "stop", []),
        ("Pricesx/watch", "call", []),
        ("Orders/place", "call", [ADMIN]),
        ("/chat/rooms/42/say", "ask", [MEMBER, ADMIN]),
        ("/chat/rooms/42/say", "tell", [ADMIN]),
        ("/chat/rooms/42", "channel", [MEMBER, ADMIN]),
        ("/chat/rooms/42", "stop", [ADMIN]),
        ("/chat/rooms/42/deep/say", "ask", []),
        ("/chat/rooms", "channel", []),
        ("/chat/rooms/say", "ask", [MEMBER, ADMIN]),
        ("/clock/now", "ask", [MEMBER, ADMIN, NOBODY]),
        ("clock/now", "ask", []),
        ("/board/a/news", "subscribe", [MEMBER, ADMIN, NOBODY]),
        ("/board/a/other", "subscribe", []),
        ("streams/run-7", "follow", [MEMBER, ADMIN, NOBODY]),
        ("streams/run-7", "append", []),
        ("streams/other", "follow", []),
        ("Penstock.Control/list", "call", []),
        ("/board/a/accepts", "ask", []),
        ("/chat/rooms/42/accepts", "ask", [MEMBER, ADMIN]),
        ("/doors/front/accepts", "ask", [MEMBER, ADMIN]),
        ("/doors/front/accepts", "tell", []),
        ("/doors/accepts", "ask", []),
        ("doors/front/accepts", "ask", []),
        ("", "ask", []),
        ("/", "ask", []),
    ],
)
def test_a_table(target, verb, allowed):
    for _ in range(2):  # the second answer is the kept one
        assert [one for one in (MEMBER, ADMIN, NOBODY) if TABLE(one, target, verb)] == allowed


def test_unknown_verbs_are_named():
    with pytest.raises(InvalidArgument, match=r"'a': unknown verbs \['shout'\]; there are call, stream"):
        Access({"a": ["ask", "shout"]})
    with pytest.raises(InvalidArgument, match=r"unknown verbs \['ask,tell'\]"):
        Access({"a": "ask,tell"})
    assert Access({"a": "ask"})(NOBODY, "/a/x", "ask")


def test_decisions_are_kept_within_a_bound():
    for number in range(10_000):
        TABLE(MEMBER, f"Prices/{number}", "call")
    assert len(TABLE._decided) <= 4096


def test_without_a_table_nothing_can_be_ended():
    trust = Trust(tokens())
    for verb in ("ask", "tell", "call", "stream", "follow"):
        trust.check_access(NOBODY, "x", verb)
    for target, verb in (("x", "stop"), ("streams/x", "delete"), ("Penstock.Control/list", "call")):
        with pytest.raises(PermissionDenied):
            trust.check_access(NOBODY, target, verb)


def test_a_function_allows_by_true_alone():
    def own(principal: Principal, target: str, verb: str) -> bool | None:
        if verb == "tell":
            raise PermissionDenied("not on Sundays")
        return {"ask": True, "call": False}.get(verb)

    trust = Trust(tokens(), own)
    trust.check_access(MEMBER, "/x/y", "ask")
    with pytest.raises(PermissionDenied, match="'m' is not allowed 'call' on '/x'"):
        trust.check_access(MEMBER, "/x", "call")
    with pytest.raises(PermissionDenied, match=r"'m' is not allowed 'stop' on '/x' \(roles: member\)"):
        trust.check_access(MEMBER, "/x", "stop")
    with pytest.raises(PermissionDenied, match="not on Sundays"):
        trust.check_access(MEMBER, "/x/y", "tell")


async def test_what_cannot_decide_is_refused_when_the_server_begins():
    async def later(_principal: Principal, _target: str, _verb: str) -> bool:
        return True

    for wrong in ({"Prices/*": ["call"]}, later):
        with pytest.raises(TypeError, match="authorize= is auth"):
            Trust(tokens(), wrong)
        with pytest.raises(TypeError, match="authorize= is auth"):
            penstock.Node(authenticate=tokens(), authorize=wrong)
    with pytest.raises(TypeError, match="authenticate= is an authenticator"):
        async with penstock.serve(listen="memory://nothing", authenticate={"token": "alice"}):
            pass


def test_a_rule_that_fails_allows_nothing_and_is_logged(caplog):
    def rule(principal: Principal, target: str, verb: str) -> bool:
        raise KeyError("secret")

    with pytest.raises(Internal) as caught:
        Trust(tokens(), rule).check_access(MEMBER, "/x", "ask")
    assert "secret" not in str(caught.value)
    assert "authorize could not decide about 'ask' on '/x'" in caplog.text


def test_a_target_that_is_too_long_is_refused_unread_and_not_repeated():
    table = Access({"**": ["ask"]})
    with pytest.raises(PermissionDenied) as caught:
        Trust(tokens(), table).check_access(Principal("m", roles=[*map(str, range(10_000))]), "/" + "x" * 1_000_000, "ask")
    assert len(str(caught.value)) < 1000
    assert not table._decided
