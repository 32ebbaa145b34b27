"""Config files as data: nothing in them is executed, and their bases are files too."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import IO, Any

import yaml
from detectron2.config import CfgNode

from auto_seg_loss.errors import ConfigError
from autoseg_core.files import user_path


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The keys of a YAML config over those of its ``_BASE_`` files.

    Raises ``ConfigError`` that names file and line for anything but plain YAML, such as the tags
    ``!!python/...``, which Detectron2 executes, and for a key that is given twice; for a path that
    is no local file, or leads back to itself; ``OSError`` for a file that cannot be read.
    """
    return _PlainFiles.load_yaml_with_base(str(user_path(path)))


class _Once(yaml.SafeLoader):
    """Refuses a key that a mapping has twice: the last would win, without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != _MERGE:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_MERGE = "tag:yaml.org,2002:merge"  # "<<", which may stand there several times


class _PlainFiles(CfgNode):
    """Detectron2's rules of ``_BASE_``; each file, and each base, is read by these methods."""

    @classmethod
    def _open_cfg(cls, filename: str) -> IO[str]:
        if "://" in filename:
            raise ConfigError(f"{filename}: configs and their _BASE_ are local files; fetch it.")
        text = Path(filename).read_text(encoding="utf-8")
        content = yaml.load(text, _Once)
        if not isinstance(content, dict):
            got = "nothing: the file is empty" if content is None else repr(content)
            raise ConfigError(f"{filename}: expected a mapping of keys, got {got}")
        return StringIO(text)

    @classmethod
    def load_yaml_with_base(cls, filename: str, allow_unsafe: bool = False) -> dict[str, Any]:
        try:
            config = super().load_yaml_with_base(filename, allow_unsafe=False)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            words = " ".join(str(error).split())  # in one line, with the place
            raise ConfigError(f"{filename}: expected plain YAML; {words}") from None
        except FileNotFoundError:
            raise ConfigError(f"{filename}: there is no such config file") from None
        except RecursionError:
            raise ConfigError(f"{filename}: a _BASE_ leads back to the file itself") from None
        except (AssertionError, AttributeError, TypeError) as error:
            raise ConfigError(
                f"{filename}: expected a mapping of keys, and in _BASE_ other files: {error}"
            ) from None
        return config
