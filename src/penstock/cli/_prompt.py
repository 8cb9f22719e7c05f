"""A prompt with history and completion. The only file that imports `prompt_toolkit`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from penstock._files import open_regular
from penstock.cli._run import Unusable


def have_prompt() -> None:
    """Raise `Unusable` when `prompt_toolkit` is not installed."""
    try:
        import prompt_toolkit  # noqa: F401 - whether it is there
    except ImportError:
        raise Unusable(
            "a prompt needs prompt_toolkit: pip install 'penstock[cli]'; without it, give the commands on standard input"
        ) from None


async def typed(prompt: str, words: Mapping[str, str], history: Path, idle: Callable[[], None]) -> AsyncIterator[str]:
    """Iterate over the lines that are typed, until Ctrl-D. Ctrl-C discards the line; on an empty line it calls `idle`.

    words: offered as completions, each with its help; after one that ends with ``--file``, paths are offered. history: the
    file that keeps the lines for the next session. Cancelling it restores the terminal.
    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.auto_suggest import AutoSuggestFromHistory

    session: Any = PromptSession(
        history=_history(history),
        completer=_completer(words),
        auto_suggest=AutoSuggestFromHistory(),
        complete_while_typing=True,
    )
    while True:
        try:
            yield await session.prompt_async(prompt, handle_sigint=False)
        except EOFError:
            return
        except KeyboardInterrupt:
            if not session.default_buffer.text:
                idle()


@contextmanager
def above() -> Iterator[Callable[[str], None]]:
    """Yield a function that prints a line above the prompt."""
    from prompt_toolkit import ANSI, print_formatted_text
    from prompt_toolkit.patch_stdout import patch_stdout

    with patch_stdout(raw=True):
        yield lambda text: print_formatted_text(ANSI(text))


def _history(path: Path) -> Any:
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(open_regular(path, os.O_RDWR | os.O_CREAT, 0o600))
        return FileHistory(str(path))
    return InMemoryHistory()


def _completer(words: Mapping[str, str]) -> Any:
    """Return the completer of the commands in `words`. The class is local because its base class is imported late."""
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
    from prompt_toolkit.document import Document

    paths = PathCompleter(expanduser=True)

    class Words(Completer):
        """Completes commands, and paths after a command that takes a file."""

        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Any]:
            """Iterate over the completions of the text before the cursor."""
            begun = document.text_before_cursor.lstrip()
            for word, meaning in words.items():
                if word.endswith("--file") and begun.startswith(f"{word} "):
                    rest = begun[len(word) + 1 :]
                    yield from paths.get_completions(Document(rest, len(rest)), complete_event)
                elif word.startswith(begun) and word != begun:
                    yield Completion(word, start_position=-len(begun), display_meta=meaning)

    return Words()
