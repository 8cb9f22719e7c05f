"""What fuzzing has found, again, and a little more of its kind. `make fuzz` looks for more, guided by coverage."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.store import FOLDER, corpus, stored
from tests.fuzz.targets import TARGETS, frames_of, mended
from tests.protocol.kit import hello, open_frame

#: Fresh inputs for each target; a failure names its seed.
FRESH = 40
FRESH_SEED = random.SystemRandom().randrange(10**9)
STORED_BYTES_MAX = 200 * 1024


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_is_survived(target):
    for data in corpus(target):
        try:
            TARGETS[target](data)
        except Exception as error:
            raise AssertionError(f"make fuzz ARGS='{target} --again {data.hex()}'") from error


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_like_the_corpus_are_survived(target):
    chance, inputs = random.Random(FRESH_SEED), corpus(target)
    for _ in range(FRESH):
        data = bytearray(chance.choice(inputs)[:2000])
        for _ in range(chance.randint(1, 4)):
            at = chance.randint(0, len(data))
            data[at : at + chance.randint(0, 4)] = chance.randbytes(chance.randint(0, 4))
        changed = data[:1] + mended(bytes(data[1:])) if chance.random() < 0.5 else bytes(data)
        try:
            TARGETS[target](bytes(changed))
        except Exception as error:
            raise AssertionError(f"make fuzz ARGS='{target} --again {changed.hex()}'") from error


def test_frames_are_found_and_mended():
    data = hello() + open_frame(1, 2)
    assert [len(head) for head, _ in frames_of(data)] == [14, 14]
    assert mended(data) == data
    assert mended(data[:-3]) != data[:-3]
    assert len(frames_of(mended(data[:-3]))) == 2


def test_the_stored_corpus_is_small():
    assert {path.stem for path in FOLDER.glob("*.hex")} <= set(TARGETS)
    assert sum(path.stat().st_size for path in FOLDER.glob("*.hex")) < STORED_BYTES_MAX
    assert any(map(stored, TARGETS))
