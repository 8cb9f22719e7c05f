"""What is typed (or piped in) as a `Source` of lines: a thread waits for the keyboard, so that the event loop need not."""

import asyncio
import contextlib
import threading

import penstock


def lines() -> penstock.Source[str]:
    sink, source = penstock.pipe(buffer_size=1)
    loop = asyncio.get_running_loop()

    def read() -> None:
        keyboard = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - not sys.stdin, which Python locks when it exits
        with contextlib.suppress(penstock.StreamCancelled, RuntimeError):  # nobody listens any more, or the loop is closed
            for line in keyboard:
                asyncio.run_coroutine_threadsafe(sink.send(line.rstrip("\n")), loop).result()
            loop.call_soon_threadsafe(sink.close)

    threading.Thread(target=read, name="keyboard", daemon=True).start()
    return source
