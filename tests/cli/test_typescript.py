"""`penstock typescript`: the module that it writes. `make client` has tsc read it."""

from __future__ import annotations

import pytest

from penstock.cli._typescript import _types
from penstock.cli._typescript._module import module
from penstock.errors import InvalidArgument
from penstock.service import describe, service_of
from tests.clients.market import Market
from tests.clients.oddities import Oddities


def written(*classes):
    return module([describe(service_of(cls)) for cls in classes])


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer"}, "number"),
        ({"type": "string", "format": "date-time"}, "Date"),
        ({"type": "string", "contentEncoding": "base64"}, "Uint8Array"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}, {"type": "integer"}]}, "number | null"),
        ({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, "(string | null)[]"),
        ({"type": "array", "prefixItems": [{"type": "string"}, {}]}, "[string, unknown]"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "Record<string, boolean>"),
        ({"type": "object", "properties": {"a-b": {"type": "null"}}, "required": []}, '{ "a-b"?: null; }'),
        ({"type": ["string", "null"]}, "string | null"),
        ({"enum": ["a", 1]}, '"a" | 1'),
        ({"const": "a"}, '"a"'),
        ({"$ref": "#/$defs/Box[int]"}, "Box_int_"),
        ({"$ref": "#/$defs/Date"}, "Date_"),
        ({"title": "SourceRef"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_a_schema_is_the_type_that_a_value_has_after_its_journey(schema, expected):
    assert _types.written(schema) == expected


def test_a_service_is_an_interface_and_a_description_of_the_same_name():
    text = written(Market)
    assert "  /** Answer the price of a symbol. */\n  quote(symbol: string, digits?: number, options?: CallOptions)" in text
    assert "  total(requests: Items<number>, start?: number, options?: StreamOptions): Promise<number>;\n" in text
    assert "  prices(n: number, options?: StreamOptions): Stream<Price>;\n" in text
    assert 'export const Market: Service<Market> = service("Market", {\n  quote: ["unary", "symbol", "digits"],\n' in text


def test_a_default_before_a_parameter_that_is_needed_may_be_undefined():
    assert "  late(first: number | undefined, last: string, options?: CallOptions): Promise<Odd>;\n" in written(Oddities)


def test_a_name_that_typescript_does_not_permit_is_changed_where_it_is_declared_alone():
    text = written(Oddities)
    assert 'new_?: 1 | "u"' in text
    assert 'trade: ["unary", "a", "b", "c", "new"]' in text
    assert "export interface Date_ {" in text
    assert '  "with-dash": number;\n' in text


def test_a_docstring_does_not_end_its_comment():
    assert "A comment ends with *\\/ in TypeScript." in written(Oddities)


def test_two_services_share_their_types():
    text = written(Market, type("Market2", (Market,), {}))
    assert text.count("export interface Price {") == 1
    assert 'service("Market2", {' in text


def test_two_types_of_one_name_that_differ_are_refused():
    with pytest.raises(InvalidArgument, match="two types have the name Price"):
        written(Market, Oddities)


def test_the_command_writes_a_module(run):
    done = run("typescript", "tests.clients.market:Market")
    assert done.returncode == 0, done.stderr
    assert done.stdout == written(Market)


def test_the_command_says_which_class_is_missing(run):
    done = run("typescript", "tests.clients.market:Markt")
    assert done.returncode == 2
    assert "Market" in done.stderr
