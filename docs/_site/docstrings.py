"""Turn the docstrings of the source into Markdown, while the reference is built. It changes no file.

A docstring is written for a reader of the source: ``::`` before a program, one line ``name: text`` for each parameter, names
in backticks. On a page these become a code block, a list, and links.
"""

from __future__ import annotations

import ast
import contextlib
import re
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import griffe

import penstock
from penstock import errors

_FIELD = re.compile(r"^(?P<names>[a-z_]\w*(?:, [a-z_]\w*)*): (?P<text>.*)", re.MULTILINE)
_RULE = re.compile(r"=+( +=+)+(\n|$)")
_NAME = re.compile(r"(?<![`\w\[])`(?P<name>[A-Za-z_]\w*)(?P<member>\.[a-z_]\w*)?`(?![`\w])")


class ToMarkdown(griffe.Extension):
    """Rewrite each docstring once it is loaded; give a field its ``#:`` comment as docstring."""

    def on_instance(self, *, node: ast.AST | griffe.ObjectNode, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class or attribute."""
        if isinstance(obj, griffe.Attribute):
            _take_comment(obj)
        if isinstance(obj, griffe.Function):
            _show_context_manager(obj)
        if obj.docstring is not None and not obj.is_class:
            obj.docstring.value = markdown(obj.docstring.value, _parameters(obj))

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rewrite the signatures, once every module is loaded."""
        _show_defaults(pkg)
        _inherit(pkg)

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Rewrite the docstring of a class, whose fields are known now."""
        if cls.docstring is not None:
            cls.docstring.value = markdown(cls.docstring.value, _fields(cls))
        _show_fields(cls)


def markdown(text: str, names: frozenset[str]) -> str:
    """Return a docstring as Markdown; `names` are the parameters or fields that its lines may explain."""
    return "\n\n".join(_paragraph(part, names) for part in _paragraphs(text))


def _paragraphs(text: str) -> list[str]:
    """Split at blank lines; a program behind ``::`` stays in one piece, as a code block."""
    parts: list[str] = []
    program: list[str] | None = None
    for part in re.split(r"\n[ \t]*\n", text):
        if program is not None and part.startswith("    "):
            program.append(part)
            continue
        if program:
            parts.append(_code(program))
        program = [] if part.rstrip().endswith("::") else None
        if part.strip() != "::":
            parts.append(part.replace("::", ":") if program is not None else part)
    return [*parts, _code(program)] if program else parts


def _code(program: list[str]) -> str:
    text = textwrap.dedent("\n\n".join(program))
    return f"```{'text' if '──' in text else 'python'}\n{text}\n```"


def _paragraph(part: str, names: frozenset[str]) -> str:
    if part.startswith("```"):
        return part
    return _NAME.sub(_link, _as_table(part) if _RULE.match(part) else _as_list(part, names))


def _as_table(part: str) -> str:
    """Make a Markdown table of one whose columns are ruled with ``===``."""
    lines = part.split("\n")
    columns = [rule.span() for rule in re.finditer("=+", lines[0])]
    last, _end = columns[-1]
    columns[-1] = (last, len(part))
    rows = [[line[start:end].strip() for start, end in columns] for line in lines if not _RULE.match(line)]
    rows.insert(1, ["---"] * len(columns))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _as_list(part: str, names: frozenset[str]) -> str:
    """Make a list of lines that explain a parameter or field each."""
    part = re.sub(r"\n +(?=[a-z_]\w*: )", "\n", part)
    explained = {name for line in _FIELD.finditer(part) for name in line["names"].split(", ")}
    if not explained & names:
        return part
    if len(explained) > 1:  # where several are explained, all of them are: a base class may have the others
        names |= {name for name in explained if re.search(rf"^{name}[:,]", part, re.MULTILINE)}
    for name in names:
        part = re.sub(rf"(?<=\. ){name}: ", f"\n{name}: ", part)
    lines: list[str] = []
    for line in part.split("\n"):
        field = _FIELD.match(line)
        explains = field is not None and set(field["names"].split(", ")) <= names
        if field is not None and explains:
            quoted = ", ".join(f"`{name}`" for name in field["names"].split(", "))
            first = not any(known.startswith("- ") for known in lines)
            lines += ([""] if first and lines else []) + [f"- {quoted}: {field['text'].rstrip()}"]
        else:
            lines.append(f"  {line.strip()}" if lines and lines[-1].startswith(("- ", "  ")) else line)
    return "\n".join(lines)


def _link(match: re.Match[str]) -> str:
    name, member = match["name"], match["member"] or ""
    target = public(name, member.lstrip("."))
    return match[0] if target is None else f"[{match[0]}][{target}]"


@cache
def public(name: str, member: str = "") -> str | None:
    """Return where the reference explains a public name, None for any other name."""
    if name not in penstock.__all__ or name in {"Struct", "errors"}:
        return None
    if hasattr(errors, name):
        return f"penstock.errors.{name}"
    value = getattr(penstock, name)
    return f"penstock.{name}.{member}" if member and hasattr(value, member) else f"penstock.{name}"


def _parameters(obj: griffe.Object) -> frozenset[str]:
    return frozenset(parameter.name for parameter in obj.parameters) if isinstance(obj, griffe.Function) else frozenset()


def _fields(cls: griffe.Class) -> frozenset[str]:
    """Return the fields of a class and the parameters of its `__init__`."""
    init = cls.members.get("__init__")
    taken = _parameters(init) if isinstance(init, griffe.Function) else frozenset()
    own = {name for name, member in cls.members.items() if not name.startswith("_") and member.is_attribute}
    slots = cls.members.get("__slots__")
    named = re.findall(r"'(\w+)'", str(getattr(slots, "value", ""))) if slots is not None else []
    return taken | own | frozenset(named)


def _show_fields(cls: griffe.Class) -> None:
    """Give a class whose fields are its parameters the signature that its users see."""
    bases = {str(base).rpartition(".")[2] for base in cls.bases}
    if "__init__" in cls.members or not bases & {"Struct", "NamedTuple"}:
        return
    head = cls.source.partition(":\n")[0]
    kind = griffe.ParameterKind.keyword_only if "kw_only=True" in head else griffe.ParameterKind.positional_or_keyword
    own = [member for member in cls.members.values() if isinstance(member, griffe.Attribute)]
    fields = [field for field in own if field.annotation is not None and _is_field(field)]
    taken = [griffe.Parameter(field.name, annotation=field.annotation, kind=kind, default=field.value) for field in fields]
    myself = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
    cls.set_member("__init__", griffe.Function("__init__", parameters=griffe.Parameters(myself, *taken), lineno=cls.lineno))


def _is_field(member: griffe.Attribute) -> bool:
    return not member.name.startswith("_") and "property" not in member.labels


def _inherit(obj: griffe.Object) -> None:
    """Give a method without a docstring that of the method which it overrides."""
    for member in obj.members.values():
        if isinstance(member, griffe.Class):
            with contextlib.suppress(ValueError):  # a base from elsewhere
                _inherit_from(member, member.mro())
        if isinstance(member, griffe.Object):
            _inherit(member)


def _inherit_from(cls: griffe.Class, bases: list[griffe.Class]) -> None:
    for name, member in cls.members.items():
        if isinstance(member, griffe.Function) and member.docstring is None:
            above = (base.members[name].docstring for base in bases if name in base.members)
            member.docstring = next((docstring for docstring in above if docstring is not None), None)


def _show_defaults(obj: griffe.Object) -> None:
    """Put the values of constants into the signatures: a reader does not know ``GRACE_S``."""
    for member in obj.members.values():
        if isinstance(member, griffe.Function):
            for parameter in member.parameters:
                parameter.default = _constant(member, str(parameter.default)) or parameter.default
        elif isinstance(member, griffe.Object):
            _show_defaults(member)


def _constant(function: griffe.Function, name: str) -> str | None:
    found = function.module.members.get(name) if name.isupper() else None
    if isinstance(found, griffe.Alias):
        with contextlib.suppress(griffe.AliasResolutionError, griffe.CyclicAliasError):
            found = found.final_target
    value = str(found.value) if isinstance(found, griffe.Attribute) else ""
    return value if re.fullmatch(r"[\d._]+", value) else None


def _take_comment(obj: griffe.Attribute) -> None:
    """Make the ``#:`` lines above a field its docstring, and add the bounds of its type."""
    text = obj.docstring.value if obj.docstring is not None else _comment(obj)
    bounds = dict(re.findall(r"\b(ge|gt|le)=([^,)]+)", str(obj.annotation or "")))
    words = {"ge": "at least", "gt": "above", "le": "at most"}
    said = ", ".join(f"{words[name]} `{value.strip()}`" for name, value in bounds.items())
    if text and said:
        text = f"{text}\n\n{said[0].upper()}{said[1:]}."
    if text:
        obj.docstring = griffe.Docstring(text, parent=obj, lineno=obj.lineno)


def _comment(obj: griffe.Attribute) -> str:
    if obj.lineno is None or not isinstance(obj.filepath, Path):
        return ""
    above: list[str] = []
    lines = obj.lines_collection[obj.filepath]
    for number in range(obj.lineno - 2, -1, -1):
        line = lines[number].strip()
        if not line.startswith("#:"):
            break
        above.insert(0, line.removeprefix("#:").strip())
    return "\n".join(above)


def _show_context_manager(function: griffe.Function) -> None:
    """Show what a function gives its callers, who see no iterator: ``async with serve(...)``."""
    if not any(str(decorator.value).endswith("asynccontextmanager") for decorator in function.decorators):
        return
    function.labels -= {"async"}
    if isinstance(function.returns, griffe.ExprSubscript):
        function.returns.left = griffe.ExprName("AbstractAsyncContextManager")
