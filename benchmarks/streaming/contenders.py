"""One contender in this process: `python contenders.py NAME CHECKPOINT OUT SAMPLES TOKENS MICRO_BATCH MEMORY SHARE`.

Each gets the same ids in the same batches, and gives the log-probability of every observed token and, where it can,
the state behind the middle layer and the last one. Loading counts; importing does not.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from safetensors.torch import save_file
from torch import Tensor

from streaming.corpus import Case, Size, ids, weights
from streaming.measuring import measured
from streaming.plain import Given, Outputs, forwards, whole


def ours(given: Given, residency: Literal["stream", "offload"] = "stream") -> Outputs:
    """Nexus, streamed."""
    from nexus_engine_sli.engine import Sli
    from nexus_specs import Budget, Installed, Sample, Tap
    from nexus_specs.testing import ListSink
    from nexus_torch.padding import Collated

    installed = Installed()
    start, cpu = time.perf_counter(), time.process_time()
    checkpoint: Any = installed.make("architecture", "transformers").open(str(given.folder), installed)
    opening = time.perf_counter() - start, time.process_time() - cpu

    def collate(samples: Any) -> Collated:
        tokens = torch.stack([sample.fields["ids"] for sample in samples])
        return Collated({"input_ids": tokens, "attention_mask": torch.ones_like(tokens)})

    checkpoint.collate, checkpoint.lengths = collate, lambda _: None
    rows = enumerate(ids(given.size, given.case))
    samples = [Sample(key=f"{at:08d}", fields={"text": "", "ids": row}) for at, row in rows]
    paths = {"middle": f"model.layers.{given.size.layers // 2}", "final": f"model.layers.{given.size.layers - 1}"}
    budget = Budget(
        memory=given.memory, residency=residency, precision="bfloat16", micro_batch=given.case.micro_batch,
        threads=torch.get_num_threads(), device=given.device,
    )  # fmt: skip
    machine = Sli().machine(given.folder)
    names = ("gigaflops", "gigaflops_float32", "read_rate", "weight_rate", "call_rate")
    rates = {name: getattr(machine, name) for name in names}
    known, rated = replace(checkpoint.blueprint, context=given.case.tokens), replace(budget, **rates)
    predicted = Sli().estimate(known, given.case.samples, 0, rated, tokens=given.case.tokens)
    given.more |= {"predicted_seconds": predicted.seconds, "rates": rates}
    sink, start, cpu = ListSink(), time.perf_counter(), time.process_time()
    with Sli().load(checkpoint, budget) as teacher:
        teacher.observe(samples, [Tap(path="logprob"), *(Tap(path=each) for each in paths.values())], sink)
        given.more["file_bytes"] = teacher.room.read_bytes  # type: ignore[attr-defined]
        given.more["loads"] = len(teacher.room.loads)  # type: ignore[attr-defined]
    given.more["seconds"] = opening[0] + time.perf_counter() - start  # what is left out measured the machine
    given.more["cpu_seconds"] = opening[1] + time.process_time() - cpu
    names = {"logprob": "logprob", **paths}
    return {name: [sink.value(sample.key, tap)[None] for sample in samples] for name, tap in names.items()}


def resident(given: Given) -> Outputs:
    """transformers, everything in memory. What the others are held against, so its first call is made to be right."""
    from nexus_torch import first_calls as first_calls
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(given.folder, dtype=torch.bfloat16).eval()
    return forwards(model, given, model.model.layers)


def compute(given: Given) -> Outputs:
    """The ceiling of arithmetic: the same forwards on weights that are in anonymous memory, in large pages, and were
    touched. Only the forwards count."""
    from nexus_engine_sli.rooms.resident import Resident
    from nexus_specs import Installed

    installed = Installed()
    checkpoint: Any = installed.make("architecture", "transformers").open(str(given.folder), installed)
    model: Any = Resident(checkpoint, given.device, dtype=torch.bfloat16).module
    with torch.no_grad():
        model(input_ids=torch.zeros(1, 2, dtype=torch.long, device=given.device), use_cache=False)
    start, cpu = time.perf_counter(), time.process_time()
    found = forwards(model, given, model.model.layers)
    if given.device != "cpu":
        torch.accelerator.synchronize()
    given.more["compute_seconds"] = time.perf_counter() - start
    given.more["compute_cpu_seconds"] = time.process_time() - cpu
    return found


def accelerate(given: Given) -> Outputs:
    """accelerate's disk offload of every layer, as transformers' `device_map` sets it up."""
    from transformers import LlamaForCausalLM

    places: dict[str, Any] = {f"model.layers.{at}": "disk" for at in range(given.size.layers)}
    places |= {"model.embed_tokens": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}
    offload = str(given.folder / "offload")
    model = LlamaForCausalLM.from_pretrained(
        given.folder, dtype=torch.bfloat16, device_map=places, offload_folder=offload
    ).eval()
    return forwards(model, given, model.model.layers)


def airllm(given: Given) -> Outputs:
    """AirLLM. Splitting the checkpoint into its own files is not counted."""
    from airllm import AutoModel

    model = AutoModel.from_pretrained(str(given.folder), device="cpu", dtype=torch.bfloat16)
    return forwards(model, given, model.model.model.layers)


def llmcompressor(given: Given) -> Outputs:
    """llm-compressor's sequential pipeline with an offloaded model and no modifier that changes anything."""
    from datasets import Dataset
    from llmcompressor import oneshot
    from transformers import LlamaForCausalLM

    places: dict[str, Any] = {f"model.layers.{at}": "disk" for at in range(given.size.layers)}
    places |= {"model.embed_tokens": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}
    model = LlamaForCausalLM.from_pretrained(
        given.folder, dtype=torch.bfloat16, device_map=places, offload_folder=str(given.folder / "offload")
    ).eval()
    found: Outputs = {"middle": [], "final": []}
    first = lambda output: output if isinstance(output, Tensor) else output[0]  # noqa: E731
    for name, at in (("middle", given.size.layers // 2), ("final", given.size.layers - 1)):
        keep = found[name]
        model.model.layers[at].register_forward_hook(lambda _, __, out, keep=keep: keep.append(first(out).clone()))
    rows = ids(given.size, given.case).tolist()
    data = Dataset.from_dict({"input_ids": rows, "attention_mask": [[1] * given.case.tokens] * given.case.samples})
    oneshot(
        model=model, dataset=data, recipe=[], num_calibration_samples=given.case.samples,
        max_seq_length=given.case.tokens, batch_size=given.case.micro_batch, pipeline="sequential",
        shuffle_calibration_samples=False,
    )  # fmt: skip
    return {name: values[-(given.case.samples // given.case.micro_batch) :] for name, values in found.items()}


def disk(given: Given) -> Outputs:
    """The rate of the disk: all weights, past the cache, by two threads, into one buffer."""
    from nexus_engine_sli.files.reading import Reader
    from nexus_specs import Extent

    reader = Reader()
    for path in weights(given.folder):
        length = path.stat().st_size
        for first in range(0, length, 1 << 27):
            last = min(length, first + (1 << 27))
            extent = Extent(key="all", file=str(path), start=first, stop=last, dtype="U8", shape=(last - first,))
            reader.read((extent,))
    reader.close()
    return {}


def on_device(name: str) -> Callable[[Given], Outputs]:
    """The contenders of `sli.py --device cuda`."""

    def run(given: Given) -> Outputs:
        from streaming import device

        return device.run(name, given, ours, compute)

    return run


REREADING = ("accelerate", "airllm")
"""These read the checkpoint for every batch, so a part of the corpus tells the rest (`--share`)."""
DEVICE = ("copies", "compute_cuda", "nexus_cuda", "offload_cuda")
CONTENDERS: dict[str, Callable[..., Outputs]] = {
    "nexus": ours, "compute": compute, "resident": resident, "accelerate": accelerate, "airllm": airllm,
    "llmcompressor": llmcompressor, "disk": disk, **{name: on_device(name) for name in DEVICE},
}  # fmt: skip


def warm(name: str) -> Iterator[None]:
    """Imports, which are not counted."""
    wanted = {
        "nexus": "nexus_engine_sli.engine", "compute": "nexus_engine_sli.rooms.resident", "airllm": "airllm",
        "llmcompressor": "llmcompressor", **dict.fromkeys(DEVICE, "nexus_engine_sli.engine"),
    }  # fmt: skip
    __import__(wanted.get(name, "transformers"))
    if name != "disk":
        from transformers import LlamaForCausalLM  # noqa: F401
    yield


def main(name: str, checkpoint: str, out: str, *numbers: str) -> None:
    """Runs one and writes its outputs and figures."""
    folder, target = Path(checkpoint), Path(out)
    samples, tokens, micro_batch, memory, share = map(int, numbers)
    size, case = Size(**json.loads((folder / "size.json").read_text())), Case(samples, tokens, micro_batch)
    torch.set_num_threads(int(os.environ.get("SLI_THREADS", "0")) or len(os.sched_getaffinity(0)))
    next(warm(name))
    files = list(folder.rglob("*.safetensors"))
    given = Given(folder, size, case, memory, share=share if name in REREADING else 1)
    if name in DEVICE:
        torch.cuda.init()
        given.device = "cuda"
    if name == "airllm":  # it writes its own copy of the layers the first time
        with torch.no_grad():
            CONTENDERS[name](replace(given, case=Case(1, 2, 1), share=1, more={}))
        files = list(folder.rglob("*.safetensors"))
    with measured(files) as taken:
        found = CONTENDERS[name](given)
    tensors = {tap: torch.cat(values).cpu().contiguous() for tap, values in found.items() if values}
    if tensors:
        save_file(tensors, target.with_suffix(".safetensors"))
    figures = {**vars(taken), **given.more, **whole(given, taken)}
    target.write_text(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
