"""A prompt with history and completion. The one file that `prompt_toolkit` enters; it knows no channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from penstock.cli._run import Unusable


def have_prompt() -> None:
    """Raise `Unusable` when there is no prompt to be had."""
    try:
        import prompt_toolkit  # noqa: F401 - whether it is there
    except ImportError:
        raise Unusable(
            "a prompt needs prompt_toolkit: pip install 'penstock[cli]'; without it, give the commands on standard input"
        ) from None


async def typed(prompt: str, words: Mapping[str, str], kept: Path, idle: Callable[[], None]) -> AsyncIterator[str]:
    """Iterate over the lines that are typed, until Ctrl-D; Ctrl-C forgets the line, on an empty one it calls `idle`.

    `words` are completed, each with what it is for; after one that ends with ``--file`` come paths. `kept` is where lines are
    kept for the next time. Cancelling it gives the terminal back as it was.
    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.auto_suggest import AutoSuggestFromHistory

    session: Any = PromptSession(
        history=_history(kept), completer=_completer(words), auto_suggest=AutoSuggestFromHistory(), complete_while_typing=True
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
    """Give what prints a line above the prompt, which stays whole."""
    from prompt_toolkit import ANSI, print_formatted_text
    from prompt_toolkit.patch_stdout import patch_stdout

    with patch_stdout(raw=True):
        yield lambda text: print_formatted_text(ANSI(text))


def _history(kept: Path) -> Any:
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    with suppress(OSError):
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept.touch(mode=0o600)
        return FileHistory(str(kept))
    return InMemoryHistory()


def _completer(words: Mapping[str, str]) -> Any:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
    from prompt_toolkit.document import Document

    paths = PathCompleter(expanduser=True)

    class Words(Completer):
        """Commands, and paths after one that takes a file."""

        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Any]:
            """Iterate over what could be meant."""
            begun = document.text_before_cursor.lstrip()
            for word, meaning in words.items():
                if word.endswith("--file") and begun.startswith(f"{word} "):
                    rest = begun[len(word) + 1 :]
                    yield from paths.get_completions(Document(rest, len(rest)), complete_event)
                elif word.startswith(begun) and word != begun:
                    yield Completion(word, start_position=-len(begun), display_meta=meaning)

    return Words()
