"""What is typed (or piped in) as a `Source` of lines: a thread waits for the keyboard, so that the event loop need not."""

import asyncio
import contextlib
import threading
from concurrent.futures import Future

import penstock


def lines() -> penstock.Source[str]:
    sink, source = penstock.pipe(buffer_size=1)
    loop = asyncio.get_running_loop()

    def send(line: str, is_taken: Future[bool]) -> None:
        sending = loop.create_task(sink.send(line))
        sending.add_done_callback(lambda sent: is_taken.set_result(not sent.cancelled() and sent.exception() is None))

    def read() -> None:
        keyboard = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - not sys.stdin, which Python locks when it exits
        with contextlib.suppress(RuntimeError):  # the loop is closed
            for line in keyboard:
                is_taken: Future[bool] = Future()
                loop.call_soon_threadsafe(send, line.rstrip("\n"), is_taken)
                if not is_taken.result():
                    return  # the reader has left
            loop.call_soon_threadsafe(sink.close)

    threading.Thread(target=read, name="keyboard", daemon=True).start()
    return source
