"""Where files of weights come from: paths, URLs, Detectron2's names, installed packages."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from detectron2.utils.file_io import PathManager
from iopath.common.file_io import PathHandler

from auto_seg_loss.runtime.errors import ConfigError
from autoseg_core.files import file_digest

_PACKAGE = "package://"


class PackageHandler(PathHandler):
    """``package://<module>/<path>``: a file in an installed Python package.

    The package is located, not imported.
    """

    def _get_supported_prefixes(self) -> list[str]:
        return [_PACKAGE]

    def _get_local_path(self, path: str, force: bool = False, **kwargs: Any) -> str:
        module, rest = path.removeprefix(_PACKAGE).split("/", 1)
        try:
            return str(files(module).joinpath(rest))
        except ModuleNotFoundError:
            raise FileNotFoundError(
                f"the package {module} is not installed; pip install {module.replace('_', '-')}"
            ) from None

    def _open(self, path: str, mode: str = "r", **kwargs: Any) -> Any:
        return open(self._get_local_path(path), mode)


PathManager.register_handler(PackageHandler(), allow_override=True)


def local_weights(name: str, key: str = "MODEL.WEIGHTS") -> Path:
    """The local file of a path, URL, ``detectron2://`` or ``package://`` name; key: for errors."""
    try:
        path = Path(PathManager.get_local_path(name))
    except OSError as error:  # includes URLError
        raise ConfigError(f"{key} {name} cannot be fetched: {error}.") from error
    if not path.is_file():
        raise ConfigError(
            f"{key} {name} does not exist or is not a file. Warm starts are made by "
            "search_net.py, checkpoints by train_net.py."
        )
    return path


def weights_digest(name: str, key: str = "MODEL.WEIGHTS") -> str:
    """Digest of the file that ``local_weights`` finds; "" without a name."""
    if not name:
        return ""
    path = local_weights(name, key)
    return _digest_at(path, path.stat().st_mtime_ns)


@lru_cache
def _digest_at(path: Path, time: int) -> str:
    """Cached for all trainings that start from the file with this modification time."""
    return file_digest(path)
