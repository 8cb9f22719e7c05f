"""One run of Atheris over one target, in a process of its own: it ends the process when it is done."""

from __future__ import annotations

import logging
import random
import sys

import atheris

with atheris.instrument_imports(include=["penstock"]):
    from tests.fuzz.targets import TARGETS, frames_of, mended

from penstock.protocol._frames import HEADER_BYTES

#: Targets whose inputs are frames behind one byte that says how they come.
FRAMED = {"machine": 1, "resume": 1, "decoder": 0}


def mutator(skip: int):
    """Return a mutator that changes bytes, or the body of one frame, whose length then fits again."""

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        chance = random.Random(seed)
        frames = frames_of(data[skip:])
        if not frames or chance.random() < 0.4:
            changed = atheris.Mutate(data, max_size)
            return mended_behind(changed) if chance.random() < 0.5 else changed
        place = chance.randrange(len(frames))
        head, body = frames[place]
        act = chance.random()
        if act < 0.6:
            frames[place] = (head, atheris.Mutate(bytes(body), max(1, max_size // 2)))
        elif act < 0.75:
            frames[place] = (atheris.Mutate(bytes(head), HEADER_BYTES).ljust(HEADER_BYTES, b"\0"), body)
        elif act < 0.9:
            frames.insert(chance.randrange(len(frames) + 1), frames[place])
        else:
            del frames[place]
        return mended_behind(data[:skip] + b"".join(one + rest for one, rest in frames))[:max_size]

    def mended_behind(data: bytes) -> bytes:
        return data[:skip] + mended(data[skip:])

    return mutate


def main() -> None:
    logging.disable(logging.CRITICAL)
    target, *arguments = sys.argv[1:]
    given = {"custom_mutator": mutator(FRAMED[target])} if target in FRAMED else {}
    atheris.Setup([sys.argv[0], *arguments], TARGETS[target], **given)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
