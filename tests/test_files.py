"""Only regular files are opened, whatever stands at the path; nothing else is waited for or changed."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from penstock._files import NotRegular, check_regular, identity, open_regular


@pytest.fixture(params=["FIFO", "character device", "socket", "directory", "a link to a FIFO"])
def special(request, tmp_path):
    """Something at a path that is not a regular file."""
    path = tmp_path / "special"
    match request.param:
        case "FIFO":
            os.mkfifo(path)
        case "character device":
            try:
                os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
            except OSError as error:
                pytest.skip(f"a device cannot be made here: {error}")
        case "socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))
        case "directory":
            path.mkdir()
        case _:
            os.mkfifo(tmp_path / "pipe")
            path.symlink_to("pipe")
    return path


@pytest.mark.parametrize("mode", [os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, os.O_RDWR, os.O_WRONLY | os.O_APPEND])
def test_what_is_not_a_regular_file_is_not_opened(special, mode):
    """FAULTS H6: and opening it never waits for a process at the other end."""
    before = identity(special)
    with pytest.raises(NotRegular, match="only a regular file can be used"):
        os.close(open_regular(special, mode))
    with pytest.raises(NotRegular):
        check_regular(special)
    assert identity(special) == before


def test_what_a_path_leads_to_while_it_is_opened_counts(tmp_path, monkeypatch):
    """A FIFO that is put there after the first look is found by the second."""
    os.mkfifo(tmp_path / "late")
    monkeypatch.setattr("penstock._files.check_regular", lambda _: None)
    with pytest.raises(NotRegular, match="a FIFO"):
        open_regular(tmp_path / "late")


def test_regular_files_and_links_to_them_are_opened(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to("file")
    for content in ("one", "2"):
        with open(link, "w", encoding="utf-8", opener=open_regular) as file:
            file.write(content)
        assert path.read_text() == content
    with pytest.raises(FileExistsError):
        open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")
    check_regular(tmp_path / "none")


def test_the_identity_of_a_file_is_that_of_what_is_at_the_path_now(tmp_path):
    path = tmp_path / "file"
    assert identity(path) is None
    path.write_text("1")
    before = identity(path)
    path.rename(tmp_path / "kept")
    path.write_text("2")
    assert before == identity(tmp_path / "kept") != identity(path)
