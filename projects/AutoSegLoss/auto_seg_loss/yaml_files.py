"""Config files as data: nothing in them is executed, and their bases are files too."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import yaml
from detectron2.config import CfgNode

from auto_seg_loss.errors import ConfigError
from autoseg_core.files import user_path


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The keys of a YAML config over those of its ``_BASE_`` files.

    Raises ``ConfigError`` that names file and line for anything but plain YAML, such as the tags
    ``!!python/...``, which Detectron2 executes, and for a path that is no local file; ``OSError``
    for a file that cannot be read.
    """
    return _PlainFiles.load_yaml_with_base(str(user_path(path)))


class _PlainFiles(CfgNode):
    """Detectron2's rules of ``_BASE_``; each file, and each base, is read by these methods."""

    @classmethod
    def _open_cfg(cls, filename: str) -> IO[str]:
        if "://" in filename:
            raise ConfigError(f"{filename}: configs and their _BASE_ are local files; fetch it.")
        return open(filename, encoding="utf-8")

    @classmethod
    def load_yaml_with_base(cls, filename: str, allow_unsafe: bool = False) -> dict[str, Any]:
        try:
            config = super().load_yaml_with_base(filename, allow_unsafe=False)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            words = " ".join(str(error).split())  # in one line, with the place
            raise ConfigError(f"{filename}: expected plain YAML; {words}") from None
        except (AssertionError, AttributeError, TypeError, RecursionError) as error:
            raise ConfigError(
                f"{filename}: expected a mapping of keys, and in _BASE_ other files: {error}"
            ) from None
        if not isinstance(config, dict):
            raise ConfigError(f"{filename}: expected a mapping of keys, got {config!r}")
        return config
