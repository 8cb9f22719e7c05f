"""`Access`: a table of the targets that principals may use, and of the ways to use them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from os import PathLike
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from penstock._patterns import Pattern, compiled
from penstock.auth._principal import Principal
from penstock.errors import InvalidArgument

#: The ways to use a target: see `Access`.
Verb = Literal["call", "stream", "ask", "tell", "channel", "subscribe", "stop", "follow", "append", "delete"]

#: Says whether a principal may do this to a target. True allows it. Anything else refuses it, and so does
#: `PermissionDenied`, with a text of your own.
Authorize = Callable[[Principal, str, str], bool | None]

_VERBS: Final[frozenset[str]] = frozenset(get_args(Verb))
#: The verbs of methods of actors and of services, whose targets end with the name of the method or of the port.
_OF_METHODS: Final = frozenset({"call", "stream", "ask", "tell", "subscribe"})
#: Those that use a method of an actor.
_OF_ACTORS: Final = frozenset({"ask", "tell", "stream"})
#: Decisions that an `Access` keeps, for targets that are used again.
_KEPT_MAX: Final = 4096


class Access:
    """A table of the rights of principals. Everything that it does not list is refused.

    ::

        authorize=auth.Access({
            "Prices/*": ["call", "stream"],                                        # every principal
            "chat/rooms/*": {"member": ["ask", "tell", "stream", "channel"], "admin": ["stop"]},   # by role
        })

    rules: verbs for each pattern of targets, or verbs for each role. In a pattern ``*`` is any text within one part, ``**`` any
        number of parts.

    The target of a service is "Service/method", or "Service" for all its methods; that of an actor is its address, for all its
    methods and ports, or "address/method"; a leading slash says that an actor is meant. That of a retained stream is
    "streams/NAME".

    Whoever may use a method of an actor may also ask it what methods it has (``accepts``), as HTTP and `penstock call` do.

    The verbs: of a service ``call`` (one answer) and ``stream``; of an actor ``ask``, ``tell``, ``stream``, ``channel``,
    ``subscribe`` (a port) and ``stop``; of a retained stream ``follow``, ``append`` (over HTTP), ``stop`` and ``delete``.

    Raises `InvalidArgument` for a verb that there is not, and for a pattern that is too long.
    """

    def __init__(self, rules: Mapping[str, Collection[str] | Mapping[str, Collection[str]]]) -> None:
        self._rules: list[tuple[Pattern, bool, str | None, frozenset[str]]] = []
        self._looks: list[tuple[Pattern, str | None]] = []
        for pattern, rule in rules.items():
            by_role: list[tuple[str | None, Collection[str]]] = [*rule.items()] if isinstance(rule, Mapping) else [(None, rule)]
            for role, verbs in by_role:
                for_actors = pattern.startswith("/")
                checked, name = _checked(pattern, verbs), pattern.lstrip("/")
                self._rules.append((compiled(name), for_actors, role, checked))
                if checked & _OF_ACTORS:
                    self._looks += [(compiled(one), role) for one in (name, name.rpartition("/")[0]) if one]
        self._decided: dict[tuple[frozenset[str], str, str], bool] = {}

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> Access:
        """Read the table ``[access]`` of a TOML file. Raises `InvalidArgument`, with its name, for one that cannot be read."""
        import tomllib

        try:
            document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidArgument(f"{path} cannot be read: {getattr(error, 'strerror', '') or error}") from error
        return cls.from_table(document.get("access"), str(path))

    @classmethod
    def from_table(cls, table: object, where: str) -> Access:
        """Return the table that stands in a file. Raises `InvalidArgument` that begins with `where` for any other value."""
        try:
            return cls(msgspec.convert(table, dict[str, list[str] | dict[str, list[str]]]))
        except msgspec.ValidationError as error:
            form = '[access] with lines such as "chat/*" = ["ask"] or "chat/*" = { admin = ["stop"] }'
            raise InvalidArgument(f"{where}: {error}; it has {form}") from None
        except InvalidArgument as error:
            raise InvalidArgument(f"{where}: {error.message}") from None

    def __call__(self, principal: Principal, target: str, verb: str) -> bool:
        """Return whether the table lets a principal do this."""
        roles = frozenset(principal.roles)
        key = (roles, target, verb)
        decided = self._decided.get(key)
        if decided is None:
            if len(self._decided) >= _KEPT_MAX:
                self._decided.clear()
            decided = self._decided[key] = self._decide(*key)
        return decided

    def _decide(self, roles: frozenset[str], target: str, verb: str) -> bool:
        of_actor = target.startswith("/")
        names = [target.removeprefix("/")]
        if verb in _OF_METHODS:
            names.append(names[0].rpartition("/")[0])
        return (of_actor and verb == "ask" and self._may_look(roles, names[0])) or any(
            verb in verbs and (role is None or role in roles) and any(map(pattern.matches, names))
            for pattern, for_actors, role, verbs in self._rules
            if of_actor or not for_actors
        )

    def _may_look(self, roles: frozenset[str], name: str) -> bool:
        """Return whether this asks an actor for its methods, one of which a principal with these roles may use."""
        address, _slash, method = name.rpartition("/")
        return method == "accepts" and any(
            (role is None or role in roles) and pattern.matches(address) for pattern, role in self._looks
        )

    def __repr__(self) -> str:
        return f"<Access, {len(self._rules)} rules>"


def _checked(pattern: str, verbs: Collection[str]) -> frozenset[str]:
    wanted = frozenset({verbs} if isinstance(verbs, str) else verbs)
    unknown = wanted - _VERBS
    if unknown:
        raise InvalidArgument(f"{pattern!r}: unknown verbs {sorted(unknown)}; there are {', '.join(get_args(Verb))}")
    return wanted
