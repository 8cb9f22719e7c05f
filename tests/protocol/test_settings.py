"""Every limit is on by default and cannot be switched off by mistake."""

from __future__ import annotations

import msgspec
import pytest

from penstock.protocol import Settings

NUMBERS = [field.name for field in msgspec.structs.fields(Settings) if field.name not in {"compression", "origins"}]

#: A choice of the program, and not a limit that protects this side: what a call holds has limits of its own.
CHOICES = {"max_call_s"}


@pytest.mark.parametrize("name", NUMBERS)
def test_every_limit_has_a_default_above_zero(name):
    assert name in CHOICES or getattr(Settings(), name) > 0


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_of_nothing_is_refused(name, value):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({name: value}, Settings)


def test_compression_costs_more_than_it_saves_on_a_local_network_so_it_is_off():
    assert Settings().compression == "none"


@pytest.mark.parametrize("wrong", [{"window_items": 0}, {"max_frame_bytes": 100}, {"keepalive_s": -1.0}, {"compression": "x"}])
def test_settings_that_make_no_sense_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)
