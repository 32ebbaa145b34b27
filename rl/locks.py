"""One search a directory: an advisory lock that dies with its process, even by SIGKILL."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path


class LockedError(RuntimeError):
    """Another process (or another journal of this one) holds the lock."""


class FileLock:
    """Exclusive lock on a file made for it; the file stays behind, and means nothing by itself."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise LockedError(f"{path} is held by another search") from None
        _held.add(self)

    def release(self) -> None:
        """Let go; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _release_in_child() -> None:
    # A forked data loader worker inherits the descriptor, and may outlive a killed parent for
    # seconds: without this the lock would live on in it, and a prompt --resume would be refused.
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_release_in_child)
