"""Services as an outline on a terminal. `rich` draws it, imported at its first use."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from penstock._texts import one_line
from penstock.cli._format._schema import reference, type_name
from penstock.service import MethodDescription, ServiceDescription


def draw(services: Sequence[ServiceDescription], url: str) -> None:
    """Print an outline of the services: methods with their types, then the types."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for service in services:
        console.print()
        console.print(Text.assemble((one_line(service.name), "bold cyan"), "  ", (first_line(service.doc), "dim")))
        console.print(_grid([_method_row(method) for method in service.methods]))
        rows = [_type_row(name, schema) for name, schema in service.definitions.items()]
        if rows:
            console.print()
            console.print(_grid(rows))
    console.print()
    console.print(Text(f"with all types as JSON Schema: penstock describe {url} --json", "dim"))


def draw_methods(methods: Sequence[MethodDescription]) -> None:
    """Print the methods of one service, with their types."""
    from rich.console import Console

    Console(highlight=False).print(_grid([_method_row(method) for method in methods]))


def _grid(rows: Sequence[tuple[Any, ...]]) -> Any:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=0)
    for row in rows:
        grid.add_row("", *row)
    return grid


def _method_row(method: MethodDescription) -> tuple[Any, ...]:
    """Return the cells of a method: its signature, its kind, the first line of its docstring."""
    from rich.text import Text

    parts: list[Any] = [(one_line(method.name), "bold"), "("]
    for index, parameter in enumerate(method.parameters):
        optional = () if parameter.required else _default(parameter.schema)
        parts += [", " if index else "", one_line(parameter.name), ": ", _type(parameter.schema), *optional]
    if method.request is not None:
        parts += [", " if method.parameters else "", ("stream ", "magenta"), _type(method.request)]
    stream = ("stream ", "magenta") if method.kind in {"server_streaming", "bidirectional"} else ""
    parts += [") → ", stream, _type(method.response)]
    kind = method.kind.replace("_", " ") + (", idempotent" if method.idempotent else "")
    return Text.assemble(*parts), Text(kind, "dim"), Text(first_line(method.doc), "italic")


def _type_row(name: str, schema: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the cells of a type: its name and its fields."""
    from rich.text import Text

    required = schema.get("required", ())
    parts: list[Any] = []
    for field, part in schema.get("properties", {}).items():
        optional = () if field in required else _default(part)
        parts += [", " if parts else "", one_line(field), ": ", _type(part), *optional]
    return Text(one_line(name), "green"), Text.assemble(*(parts or [_type(schema)]))


def _default(schema: Mapping[str, Any]) -> tuple[Any, ...]:
    value = json.dumps(schema["default"], ensure_ascii=False) if "default" in schema else "…"
    return " = ", (one_line(value), "yellow")


def _type(schema: Mapping[str, Any]) -> tuple[str, str]:
    return one_line(type_name(schema)), "green" if reference(schema) else "blue"


def first_line(doc: str) -> str:
    """Return the first line of a docstring."""
    return one_line(doc.partition("\n")[0])
