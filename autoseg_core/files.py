"""Paths as users write them, files that are there whole or not at all, and JSON that is sound."""

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
    """A file that a program of ours keeps is not what was written; the message says what to do."""


def read_json(path: str | Path, kind: type[T], remedy: str) -> T:
    """The JSON of a file as a type that pydantic knows, a model or ``dict[str, float]``.

    ``DamagedFileError``, with ``remedy``, for anything else; ``OSError`` for no file.
    """
    try:
        return parse_json(Path(path).read_bytes(), kind)
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged ({error}); {remedy}") from None


def parse_json(text: bytes, kind: type[T]) -> T:
    """The same of JSON text in UTF-8; ``ValueError`` with one line for anything else."""
    try:
        value = json.loads(text.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return checked(value, kind)


def checked(value: Any, kind: type[T]) -> T:
    """``value`` as a type that pydantic knows; ``ValueError`` with one line for another."""
    try:
        found: T = _adapter(kind).validate_python(value, strict=True)  # type: ignore[arg-type]
        return found
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = "".join(f"{part}: " for part in first["loc"])
        raise ValueError(f"{where}{first['msg']}, got {first['input']!r:.60}") from None


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """An error of the disk in here, as when it is full, names ``path`` if it names no file."""
    try:
        yield
    except OSError as error:
        if error.errno in _OF_DISKS:
            error.filename = error.filename or str(path)
        raise


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path beside ``path`` to write to, which takes its place when the block ends without error.

    Until then ``path`` is as it was: a reader, or a program that goes on after a crash, never sees
    half a file. Of several that write the same file the last one wins. Errors of the disk name it;
    ``FileNotFoundError`` names a folder that is not there.
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


def save_whole(content: Any, path: str | Path) -> None:
    """``torch.save`` to a file that is there whole or not at all; ``OSError`` if it cannot be."""
    with replacing(path) as partial, partial.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # the zip writer's, on its way out of what the disk refused
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def file_digest(path: Path) -> str:
    """sha256 of the content of a file, 16 digits; "" where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def user_path(text: str | Path) -> Path:
    """A path of a command line, an environment or an argument, its ``~`` a home directory."""
    return Path(text).expanduser()
