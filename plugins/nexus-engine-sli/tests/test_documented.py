"""The Python of docs/streaming.md, as it stands there, on a small checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_specs import Checkpoint, Installed

PAGE = Path(__file__).resolve().parents[3] / "docs" / "streaming.md"


def test_the_documented_api_streams(opened: Callable[[str], Checkpoint], monkeypatch: pytest.MonkeyPatch) -> None:
    if not PAGE.is_file():
        pytest.skip("there are no docs beside the plugins")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    asked: list[str] = []
    brought: list[list[str]] = []
    close = Streamed.close
    monkeypatch.setattr(Streamed, "close", lambda self: (brought.append(self.loads), close(self))[1])
    monkeypatch.setattr(Installed, "open", lambda _, source: (asked.append(source), opened("decoder"))[1])
    there: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), there)
    assert asked == ["./llama-70b"]
    assert brought
    assert len(brought[0]) == len(set(brought[0])), "each layer once"
    states = there["states"]
    assert set(states) == {sample.key for sample in there["samples"]}
    assert all(isinstance(each, torch.Tensor) and each.shape[1] == 32 for each in states.values())
