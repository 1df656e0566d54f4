"""Memory that logits leave behind, sample by sample."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from nexus_engine_sli.memory import allocating, trimming
from nexus_engine_sli.memory.allocating import allow, anonymous, give_back, map_large_blocks
from nexus_engine_sli.memory.trimming import LARGE, trim_between
from nexus_engine_sli.outputs.scores import logprob
from nexus_engine_sli.rooms import resident
from nexus_specs import Checkpoint, Sample
from torch import nn

SCRIPT = """
import torch
from nexus_engine_sli.memory.allocating import map_large_blocks
map_large_blocks()
def anonymous():
    rows = open("/proc/self/status").read().splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("RssAnon"))
kept, most, before = [], 0, anonymous()
for _ in range(12):
    scores = torch.ones(255, 32000, dtype=torch.bfloat16).float()
    kept.append((scores.gather(-1, torch.zeros(255, 1, dtype=torch.long))[:, 0] - scores.logsumexp(-1), object()))
    del scores
    most = max(most, anonymous() - before)
print(most)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
def test_logits_leave_nothing_behind() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 3 * 255 * 32000 * 4, "twelve times as much without it"


@pytest.mark.parametrize("length", [2, 3, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_log_probabilities_are_those_of_logsumexp_bit_for_bit(dtype: torch.dtype, length: int) -> None:
    torch.manual_seed(0)
    logits, tokens = (torch.randn(length, 3001) * 9).to(dtype), torch.randint(0, 3001, (length,))
    logits[0, :7] = -torch.inf
    before = logits.clone()
    scores = logits[:-1].float()
    expected = scores.gather(-1, tokens[1:, None])[:, 0] - scores.logsumexp(-1)
    assert torch.equal(logprob([logits], tokens), expected)
    assert torch.equal(logits, before)


def test_holes_of_smaller_blocks_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    trims: list[int] = []
    held = iter([300, 350, 520, 310, 200, 380, 420, 390, 390, 340])
    heap = allocating.Heap()
    monkeypatch.setattr(allocating, "anonymous", lambda: next(held) << 20)
    monkeypatch.setattr(allocating, "_TRIM", trims.append)
    heap.give_back()  # 300: more than nothing, 350 stay
    heap.give_back()  # 520: 170 more
    heap.give_back()  # 310
    heap.give_back()  # 200: it went by itself
    assert len(trims) == 1
    heap.give_back()  # 380
    assert len(trims) == 1
    heap.give_back()  # 420: 220 more, 390 stay
    assert len(trims) == 2
    heap.give_back(0)  # 390: no more than stayed, but what was used of it then may have gone since
    assert len(trims) == 3


def test_a_large_resident_model_gives_holes_back_before_each_layer(
    opened: Callable[[str], Checkpoint], inputs: Callable[[str], Sequence[Sample]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch of long texts left holes behind every layer, which nobody trimmed before its end."""
    checkpoint, asked, looking = opened("decoder"), list[int](), list[int]()
    monkeypatch.setattr(trimming, "give_back", lambda: asked.append(1))
    for least, wanted in ((checkpoint.blueprint.parameters + 1, 0), (1, checkpoint.blueprint.stacks[0].count)):
        monkeypatch.setattr(trimming, "LARGE", least)
        room = resident.Resident(checkpoint, "cpu")
        looking.append(sum(len(each._forward_hooks) for each in room.module.modules()))
        room.module(**checkpoint.collate(inputs("decoder")[:1]))
        assert len(asked) == wanted
        room.close()
    assert looking[0] == looking[1], "a pipeline decodes where anybody looks at what its VAE gives"


def test_holes_go_back_between_blocks_of_one_layer() -> None:
    """The stages of a Swin are layers of up to 18 blocks, each of which leaves holes that the next does not fill."""
    map_large_blocks()
    layer = nn.ModuleDict({"blocks": nn.Sequential(nn.Identity(), nn.Identity())})
    trim_between(layer, LARGE, grown=16 << 20)
    try:
        give_back(0)
        lasting = [(torch.ones(1 << 21), torch.ones(1)) for _ in range(12)]  # 8 MB each
        lasting = [(torch.empty(0), small) for _, small in lasting]
        before = anonymous()
        layer["blocks"](torch.ones(1))
        assert before - anonymous() > 16 << 20
    finally:
        allow()
    assert len(lasting) == 12
