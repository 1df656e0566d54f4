"""The memory of a pass does not grow with its samples: logits, observations and states of forwards that ended go.

Half a minute on one core: `pytest -m slow`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FEW, MANY, TOKENS, VOCABULARY = 6, 48, 128, 32000
LOGITS = TOKENS * VOCABULARY * 4
"""Bytes of one sample's."""
SCRIPT = f"""
import json, sys, threading, time
import torch, transformers as hf
from nexus_engine_sli.engine import Sli
from nexus_specs import Budget, Installed, Sample, Tap
from nexus_specs.testing import ListSink
from nexus_torch.padding import Collated

torch.set_num_threads(1)
home, residency = sys.argv[1:]
hf.LlamaForCausalLM(hf.LlamaConfig(
    vocab_size={VOCABULARY}, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings={TOKENS},
)).save_pretrained(home)
installed = Installed()
checkpoint = installed.make("architecture", "transformers").open(home, installed)

def collate(samples):
    tokens = torch.stack([sample.fields["ids"] for sample in samples])
    return Collated({{"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}})

checkpoint.collate, checkpoint.lengths = collate, lambda _: None

def anonymous():
    rows = open("/proc/self/status").read().splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("RssAnon"))

def peak(count):
    ids = torch.randint(0, {VOCABULARY}, (count, {TOKENS}))
    samples = [Sample(key=f"{{at:08d}}", fields={{"text": "", "ids": row}}) for at, row in enumerate(ids)]
    most, over = [0], threading.Event()
    def watch():
        while not over.wait(0.002):
            most[0] = max(most[0], anonymous())
    thread = threading.Thread(target=watch)
    thread.start()
    with Sli().load(checkpoint, Budget(micro_batch=1, memory=1 << 30, residency=residency)) as teacher:
        teacher.observe(samples, [Tap(path="model.layers.1"), Tap(path="logprob")], ListSink())
    over.set()
    thread.join()
    return most[0]

peak({FEW})
print(json.dumps([peak({FEW}), peak({MANY})]))
"""
"""What is taken once (kernels, arenas) is taken by the first pass."""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_eight_times_the_samples_take_no_more(residency: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", SCRIPT, str(tmp_path), residency]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    few, many = json.loads(done.stdout.splitlines()[-1])
    kept = (MANY - FEW) * TOKENS * 64 * 4 * 4               # states that wait, and what the sink keeps
    assert many - few < kept + 2 * LOGITS, f"{few:,} and {many:,} bytes; logits of a sample have {LOGITS:,}"
