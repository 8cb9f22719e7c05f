"""The demo: two real processes, seven scenes, one summary. Nothing is imported before it is run."""

from __future__ import annotations

__all__ = ["run_demo"]


def run_demo(*, plain: bool, file_mb: int | None = None, seconds: float | None = None) -> int:
    """Play the demo and return its exit code: 0 when every promise held.

    plain: one line at a time; chosen by itself when stdout is no terminal. file_mb: the size of the file that is carried, 200
    unless told. seconds: about how long the scenes take, 25 unless told. Returns 1 for a broken promise or a demo that cannot
    be played, 130 after Ctrl-C; processes and files are gone in every case.
    """
    from penstock.demo._run import run

    return run(plain=plain, file_mb=file_mb, seconds=seconds)
