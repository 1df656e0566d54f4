"""Files that others wrote: weights of every type, vocabularies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers as hf
from gguf_files.reading import loaded, stored
from nexus_arch_gguf.architecture import Gguf
from nexus_arch_gguf.dequantise import dequantise
from nexus_arch_gguf.source import Source
from nexus_arch_gguf.tokenizer import tokenizer
from nexus_specs import Extent, Installed, NexusError, Sample

STORY = "Once upon a time, there was a little girl"
MIXED = "Hello world, it's 12345 tests!  Don't naïve 日本語\n\ncode = [1, 2]"
READ = set(gguf.quants._type_traits) | {gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16}
"""Types that gguf dequantises."""
STEPS = {"F32": 1e9, "F16": 1024, "BF16": 128, "Q8_0": 127, "Q5_1": 15, "Q4_0": 8}
"""Type -> parts of a block's largest value that an error may be one of."""


@pytest.mark.parametrize("kind", sorted(STEPS))
def test_stories(kind: str, shared: Path) -> None:
    checkpoint = Gguf().open(str(shared / "data" / "gguf" / f"stories260K-{kind}.gguf"), Installed())
    module, tensors = loaded(checkpoint)
    expected = hf.LlamaForCausalLM.from_pretrained(shared / "models" / "stories260K").eval()
    for name, tensor in expected.state_dict().items():
        assert float((tensors.get(name, tensor) - tensor).abs().max()) <= float(tensor.abs().max()) / STEPS[kind], name
    sample = Sample(key="story", fields={"text": STORY, "max_new_tokens": 8})
    batch = checkpoint.collate([sample])
    with torch.no_grad():
        close = (module(**batch).logits - expected(**batch).logits).abs().max()
    assert float(close) <= {"F32": 0.0, "F16": 0.05, "BF16": 0.2}.get(kind, 10.0)
    assert checkpoint.generate(module, [sample])[0].strip().startswith("named L")


def test_dequantisation_is_that_of_the_library(shared: Path) -> None:
    source = Source(shared / "data" / "gguf" / "all-quant-types-minilm-ffn.gguf")
    kinds = set()
    for path, info in source.places.values():
        extent = Extent(key=info.name, file=str(path), start=info.start, stop=info.stop, dtype="U8", shape=(0,))
        raw = stored(extent)
        if gguf.GGMLQuantizationType(info.kind) not in READ:
            with pytest.raises(NexusError, match="cannot dequantise"):
                dequantise(info, raw)
            continue
        found = dequantise(info, raw).float().numpy()
        kinds.add(info.kind)
        if info.kind not in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16):
            block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(info.kind)]
            rows = raw.numpy().reshape(-1, info.shape[-1] // block * size)
            expected = gguf.quants.dequantize(rows, gguf.GGMLQuantizationType(info.kind)).reshape(info.shape)
            np.testing.assert_array_equal(found, expected)
    assert len(kinds) >= 15


def test_a_file_that_is_no_whole_model_is_refused(shared: Path) -> None:
    with pytest.raises(NexusError, match="token_embd"):
        Gguf().inspect(str(shared / "data" / "gguf" / "all-quant-types-minilm-ffn.gguf"))
    with pytest.raises(NexusError, match="no tensors"):
        Gguf().inspect(str(shared / "data" / "gguf" / "ggml-vocab-llama-spm.gguf"))


def made(shared: Path, name: str) -> Any:
    return tokenizer(Source(shared / "data" / "gguf" / name))


@pytest.mark.parametrize(
    ("file", "folder"), [("ggml-vocab-gpt-2.gguf", "tokenizers/gpt2"), ("stories260K-F32.gguf", "stories260K")]
)
def test_tokens_are_those_of_the_original(file: str, folder: str, shared: Path) -> None:
    original, found = hf.AutoTokenizer.from_pretrained(shared / "models" / folder), made(shared, file)
    for text in (STORY, MIXED, " two  spaces", "a\tb\r\nc", "<s> x </s>"):
        plain = {"add_special_tokens": False}
        assert found(text, **plain)["input_ids"] == original(text, **plain)["input_ids"]


KNOWN = {
    "ggml-vocab-llama-spm.gguf": [1, 15043, 3186, 29892, 372, 29915, 29879, 29871, 29896, 29906, 29941],
    "ggml-vocab-phi-3.gguf": [1, 15043, 3186, 29892, 372, 29915, 29879, 29871, 29896, 29906, 29941],
    "ggml-vocab-bert-bge.gguf": [101, 7592, 2088, 1010, 2009, 1005, 1055, 13138, 19961, 5852, 999],
}
"""First tokens of MIXED: of Llama 2's and BERT's own tokenizers (hello = 15043 and 7592, world = 3186 and 2088)."""


@pytest.mark.parametrize("file", sorted(KNOWN))
def test_first_tokens(file: str, shared: Path) -> None:
    found = made(shared, file)
    ids = found(MIXED)["input_ids"]
    assert ids[:11] == KNOWN[file]
    if "bert" not in file:
        assert found.decode(ids, skip_special_tokens=True) == MIXED


def test_how_text_is_cut(shared: Path) -> None:
    """Three digits together for Llama 3, one by one for Qwen 2: the vocabularies are otherwise alike."""
    counts = {name: len(made(shared, f"vocab-bpe-{name}.gguf")("12345")["input_ids"]) for name in ("llama3", "qwen2")}
    assert counts["llama3"] < counts["qwen2"] == 5
    for name in ("llama3", "qwen2", "gpt4o"):
        found = made(shared, f"vocab-bpe-{name}.gguf")
        assert found.decode(found(MIXED)["input_ids"]) == MIXED
        assert len(found) == 287
