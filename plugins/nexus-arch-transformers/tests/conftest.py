"""Tiny random checkpoints, saved as Hugging Face folders."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_specs import Budget, Installed, Piece, Sample, Tap
from nexus_specs.testing import sample
from nexus_torch.files import TensorFile
from nexus_torch.skeleton import absent, fill, holders
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

sys.path.insert(0, str(Path(__file__).parent))               # for packed_files

TEXTS = (
    "Layers carry what a model knows.", "A tower keeps one ability; naïve copies keep none.", "Short.", "x = [1, 2]",
)  # fmt: skip
SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}


@pytest.fixture(scope="session")
def texts() -> list[Sample]:
    return [sample(text=text) for text in TEXTS]


@pytest.fixture(scope="session")
def images() -> list[Sample]:
    generator = np.random.default_rng(0)
    return [sample(image=generator.integers(256, size=(9, 8, 3), dtype=np.uint8), label=index) for index in range(3)]


@pytest.fixture(scope="session")
def sounds() -> list[Sample]:
    generator = np.random.default_rng(0)
    return [sample(audio=generator.standard_normal(3000).astype(np.float32), rate=16000) for _ in range(3)]


@pytest.fixture(scope="session")
def films() -> list[Sample]:
    generator = np.random.default_rng(0)
    return [sample(video=generator.integers(256, size=(4, 16, 16, 3), dtype=np.uint8)) for _ in range(3)]


def tokenizer() -> hf.PreTrainedTokenizerFast:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    inner.train_from_iterator(TEXTS, trainer)
    return hf.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="session")
def words() -> Callable[[], hf.PreTrainedTokenizerFast]:
    """Makes a tokenizer of 300 words: `<s>` is 0, `</s>` is 1 and pads."""

    def make() -> hf.PreTrainedTokenizerFast:
        made = tokenizer()
        made.pad_token = "</s>"
        return made

    return make


def vit() -> tuple[Any, Any]:
    config = hf.ViTConfig(image_size=8, patch_size=4, num_labels=5, **SMALL)
    return hf.ViTForImageClassification(config), hf.ViTImageProcessorPil(size={"height": 8, "width": 8})


def spectrogram() -> tuple[Any, Any]:
    shape = {"patch_size": 8, "frequency_stride": 8, "time_stride": 8, "max_length": 24, "num_mel_bins": 32}
    extractor = hf.ASTFeatureExtractor(sampling_rate=16000, num_mel_bins=32, max_length=24)
    return hf.ASTForAudioClassification(hf.ASTConfig(num_labels=4, **shape, **SMALL)), extractor


def film() -> tuple[Any, Any]:
    config = hf.VideoMAEConfig(image_size=16, patch_size=8, num_frames=4, tubelet_size=2, num_labels=3, **SMALL)
    size = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    return hf.VideoMAEForVideoClassification(config), hf.VideoMAEImageProcessorPil(**size)


def llama(**more: Any) -> tuple[Any, Any]:
    config = hf.LlamaConfig(vocab_size=300, num_key_value_heads=2, max_position_embeddings=64, **SMALL, **more)
    return hf.LlamaForCausalLM(config), tokenizer()


def experts() -> tuple[Any, Any]:
    config = hf.Qwen3MoeConfig(
        vocab_size=300, head_dim=8, num_key_value_heads=2, moe_intermediate_size=16, num_experts=4,
        num_experts_per_tok=2, max_position_embeddings=64, **SMALL,
    )  # fmt: skip
    return hf.Qwen3MoeForCausalLM(config), tokenizer()


def bert() -> tuple[Any, Any]:
    words = tokenizer()
    words.cls_token, words.sep_token, words.pad_token = "<s>", "</s>", "</s>"
    return hf.BertModel(hf.BertConfig(vocab_size=300, max_position_embeddings=64, **SMALL)), words


BUILDERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "llama": llama,
    "tied": lambda: llama(tie_word_embeddings=True),
    "experts": experts,
    "vit": vit,
    "ast": spectrogram,
    "videomae": film,
    "bert": bert,
}
TAKES = {"vit": "images", "ast": "sounds", "videomae": "films"}
"""Builder -> fixture with what it takes; text for the others."""


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a builder -> its folder, made once."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            torch.manual_seed(0)
            model, processor = BUILDERS[name]()
            model.save_pretrained(made[name], max_shard_size="40KB" if name == "experts" else "5GB")
            processor.save_pretrained(made[name])
        return made[name]

    return folder


def _filled(checkpoint: Any) -> Any:
    module = checkpoint.skeleton()
    tied = holders(module)
    for part in checkpoint.parts:
        raw = {extent.key: TensorFile(Path(extent.file)).tensor(extent.key) for extent in part.extents}
        fill(module, {name: each.float() for name, each in checkpoint.assemble(part, raw).items()}, tied)
    assert not absent(module)
    return module


@pytest.fixture(scope="session")
def loaded() -> Callable[[Any], Any]:
    """A checkpoint -> its skeleton, filled part by part."""
    return _filled


class Kept(dict[str, Any]):
    """A sink that keeps the pieces of one sample by tap."""

    def put(self, piece: Piece) -> None:
        self[piece.tap] = piece.values[0]

    def flush(self) -> None:
        """Everything is kept as it comes."""


@pytest.fixture
def observed() -> Callable[[str, torch.Tensor, str], torch.Tensor]:
    """A source, token ids [1, T] and a residency -> the engine's logits [T, V] in float32."""

    def run(source: str, ids: torch.Tensor, residency: Any) -> torch.Tensor:
        kept, lookup = Kept(), Installed()
        if "sli" not in lookup.components("engine"):
            pytest.skip("the engine 'sli' is not installed")
        given = sample(input_ids=ids[0].numpy())
        budget = Budget(memory=1 << 30, residency=residency)
        with lookup.make("engine", "sli").load(lookup.open(source), budget) as teacher:
            teacher.observe([given], [Tap(path="logits")], kept)
        return kept["logits"].float()

    return run
