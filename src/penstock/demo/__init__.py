"""The demo: two real processes, six scenes, one summary. Its modules are imported when it runs."""

from __future__ import annotations

__all__ = ["run_demo"]


def run_demo(*, plain: bool, file_mb: int | None = None, seconds: float | None = None) -> int:
    """Play the demo and return its exit code: 0 when every promise held.

    plain: print lines instead of a live view; the default when standard output is not a terminal. file_mb: the size of the
    file to transfer in MB, 200 by default. seconds: about how long the scenes take, 25 by default. Returns 1 for a broken
    promise or a demo that cannot run, 130 after Ctrl-C; its processes and files are gone in every case.
    """
    from penstock.demo._run import run

    return run(plain=plain, file_mb=file_mb, seconds=seconds)
