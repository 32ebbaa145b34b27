"""User paths, atomically written files, and validated JSON."""

from __future__ import annotations

import errno
import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_adapter = cache(TypeAdapter)


class DamagedFileError(ValueError):
    """A file written by this project was damaged; the message says what to do."""


def read_json(path: str | Path, kind: type[T], remedy: str) -> T:
    """Read JSON from a file as a pydantic type, such as a model or ``dict[str, float]``.

    Raises ``DamagedFileError``, with ``remedy``, for other content; ``OSError`` without a file.
    """
    try:
        return parse_json(Path(path).read_bytes(), kind)
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged ({error}); {remedy}") from None


def parse_json(text: bytes, kind: type[T]) -> T:
    """The same for JSON text in UTF-8; a one-line ``ValueError`` for anything else."""
    try:
        value = json.loads(text.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return checked(value, kind)


def checked(value: Any, kind: type[T]) -> T:
    """``value`` as a pydantic type; a one-line ``ValueError`` if it does not fit."""
    try:
        found: T = _adapter(kind).validate_python(value, strict=True)  # type: ignore[arg-type]
        return found
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = "".join(f"{part}: " for part in first["loc"])
        raise ValueError(f"{where}{first['msg']}, got {first['input']!r:.60}") from None


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Add ``path`` to disk errors raised in this block, such as a full disk, that name no file."""
    try:
        yield
    except OSError as error:
        if error.errno in _OF_DISKS:
            error.filename = error.filename or str(path)
        raise


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path next to ``path``, which replaces it when the block ends without error.

    Until then ``path`` is unchanged: a reader, or a program restarted after a crash, never sees
    half a file. If several write the same file, the last one wins. Disk errors name the file;
    ``FileNotFoundError`` names a missing folder.
    """
    target = user_path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such folder", str(target.parent))
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
    try:
        with naming(target):
            yield partial
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8 in one step, by ``replacing``."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def save_whole(content: Any, path: str | Path) -> None:
    """``torch.save`` atomically; ``OSError`` if the file cannot be written."""
    with replacing(path) as partial, partial.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # from the zip writer, after a disk error
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def file_digest(path: Path) -> str:
    """sha256 of a file's content, 16 digits; "" if there is no file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def user_path(text: str | Path) -> Path:
    """A path from a command line, environment variable or argument, with ``~`` expanded."""
    return Path(text).expanduser()
