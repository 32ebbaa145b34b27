"""extras.py: a missing library is named with the command that installs it."""

from __future__ import annotations

import math

import pytest

from auto_seg_loss.extras import require


def test_a_library_that_is_there_is_imported():
    assert require("math", "none", "this test") is math


@pytest.mark.parametrize("module", ["no_such_library", "no_such_library.part"])
def test_a_missing_one_is_named_with_its_extra(module):
    message = r"the loss needs no_such_library, .*: pip install -e '\.\[baselines\]'"
    with pytest.raises(ValueError, match=message):
        require(module, "baselines", "the loss")


def test_a_library_that_lacks_something_itself_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "half_a_library.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        require("half_a_library", "baselines", "the loss")
