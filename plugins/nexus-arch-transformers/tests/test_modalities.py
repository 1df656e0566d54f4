"""Samples of several modalities, and with a target: what a user of vision-language, translation and speech teachers
gives, through the checkpoint's own processor, to the forward and to `generate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Budget, Installed, NexusError, Sample, Tap
from nexus_specs.testing import sample
from nexus_torch.text import tokenizer_hash

SHAPE = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


class Kept:
    """A sink."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Any] = {}

    def put(self, piece: Any) -> None:
        self.found |= {(key, piece.tap): value for key, value in zip(piece.keys, piece.values, strict=True)}

    def flush(self) -> None:
        """Nothing is kept back."""


def observed(folder: Path, samples: list[Sample], *taps: str) -> dict[tuple[str, str], Any]:
    checkpoint, sink = Transformers().open(str(folder), Installed()), Kept()
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident", micro_batch=4)) as teacher:
        teacher.observe(samples, [Tap(path=tap) for tap in taps], sink)
    return sink.found


def answers(folder: Path, samples: list[Sample]) -> Any:
    checkpoint = Transformers().open(str(folder), Installed())
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher:
        return teacher.generate(samples)


@pytest.fixture(scope="module")
def vision_language(tmp_path_factory: pytest.TempPathFactory, words: Callable[[], Any]) -> Path:
    folder = tmp_path_factory.mktemp("gemma3")
    tokenizer = words()
    places = {"boi_token": "<soi>", "eoi_token": "<eoi>", "image_token": "<img>"}
    tokenizer.add_special_tokens({"additional_special_tokens": list(places.values())})
    tokenizer.init_kwargs |= places
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>",
        extra_special_tokens=places,
    )  # fmt: skip
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in places.items()}
    config = hf.Gemma3Config(
        text_config={"hidden_size": 32, "vocab_size": 320, "head_dim": 16, "num_key_value_heads": 2,
                     "max_position_embeddings": 64, **SHAPE},
        vision_config={"hidden_size": 16, "image_size": 28, "patch_size": 14, **SHAPE},
        mm_tokens_per_image=4, image_token_index=ids["image_token"], boi_token_index=ids["boi_token"],
        eoi_token_index=ids["eoi_token"],
    )  # fmt: skip
    torch.manual_seed(0)
    hf.Gemma3ForConditionalGeneration(config).save_pretrained(folder)
    images = hf.Gemma3ImageProcessorPil(size={"height": 28, "width": 28})
    hf.Gemma3Processor(images, tokenizer, image_seq_length=4).save_pretrained(folder)
    return folder


def test_text_and_image_meet_in_one_input(vision_language: Path) -> None:
    picture = np.random.default_rng(0).integers(256, size=(40, 30, 3), dtype=np.uint8)
    samples = [sample(text="Short.", image=picture), sample(text="A longer text than that.", image=picture[::-1])]
    checkpoint = Transformers().open(str(vision_language), Installed())
    assert checkpoint.blueprint.takes == ("image", "text")
    batch = checkpoint.collate(samples)
    assert batch["pixel_values"].shape == (2, 3, 28, 28)
    assert (batch["input_ids"] == checkpoint.config.image_token_index).sum(1).tolist() == [4, 4]
    assert batch["attention_mask"][0].tolist() != batch["attention_mask"][1].tolist(), "padded on the right"
    found = observed(vision_language, samples, "logits", "model.language_model.layers.1")
    kind = hf.Gemma3ForConditionalGeneration
    with torch.no_grad():
        expected = kind.from_pretrained(vision_language, dtype=torch.float32).eval()(**batch).logits
    for row, each in enumerate(samples):
        length = int(batch["attention_mask"][row].sum())
        torch.testing.assert_close(found[each.key, "logits"], expected[row, :length], rtol=0, atol=1e-5)
        assert found[each.key, "model.language_model.layers.1"].shape == (length, 32)
    assert len(answers(vision_language, [sample(text="What is this?", image=picture, max_new_tokens=3)])) == 1


def test_several_pictures_of_a_sample_all_count(vision_language: Path) -> None:
    """As a list, as a stack, and as the column that data sets of conversations have: each has its place in the text."""
    draw = np.random.default_rng(0)
    two = [draw.integers(256, size=(28, 28, 3), dtype=np.uint8) for _ in range(2)]
    checkpoint = Transformers().open(str(vision_language), Installed())
    token = checkpoint.config.image_token_index
    batches = [
        checkpoint.collate([sample(text="Both?", **fields)])
        for fields in ({"image": two}, {"image": np.stack(two)}, {"images": two})
    ]
    for batch in batches:
        assert int((batch["input_ids"] == token).sum()) == 8
        torch.testing.assert_close(batch["pixel_values"], batches[0]["pixel_values"], rtol=0, atol=0)
    assert batches[0]["pixel_values"].shape == (2, 3, 28, 28)
    mixed = checkpoint.collate([sample(text="Both?", image=two), sample(text="One?", image=two[0])])
    assert (mixed["input_ids"] == token).sum(1).tolist() == [8, 4]
    with pytest.raises(NexusError, match="empty list of pictures"):
        checkpoint.collate([sample(text="None?", image=[])])


def test_a_model_of_one_picture_says_so(checkpoint_folder: Callable[[str], Path]) -> None:
    checkpoint = Transformers().open(str(checkpoint_folder("vit")), Installed())
    one = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(NexusError, match=r"has several pictures, and '.*' takes one a sample"):
        checkpoint.collate([sample(image=[one, one])])
    assert checkpoint.collate([sample(image=[one])])["pixel_values"].shape == (1, 3, 8, 8)


def test_an_empty_cell_of_a_table_is_nothing(vision_language: Path, checkpoint_folder: Callable[[str], Path]) -> None:
    """Not the word "None"."""
    checkpoint = Transformers().open(str(vision_language), Installed())
    picture = np.zeros((28, 28, 3), np.uint8)
    bare, empty = (checkpoint.collate([sample(image=picture, **more)]) for more in ({}, {"text": None}))
    assert torch.equal(bare["input_ids"], empty["input_ids"])
    with pytest.raises(NexusError, match="but the samples have only: nothing"):
        Transformers().open(str(checkpoint_folder("llama")), Installed()).collate([sample(text=None)])


def test_text_alone_goes_to_the_same_model(vision_language: Path) -> None:
    assert observed(vision_language, [sample(text="Only words.")], "logprob")


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory, words: Callable[[], Any]) -> Path:
    folder = tmp_path_factory.mktemp("t5")
    config = hf.T5Config(vocab_size=320, d_model=32, d_kv=16, d_ff=32, num_layers=2, num_heads=2,
                         decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)  # fmt: skip
    torch.manual_seed(0)
    hf.T5ForConditionalGeneration(config).save_pretrained(folder)
    words().save_pretrained(folder)
    return folder


def test_a_target_is_what_the_decoder_is_fed(translator: Path) -> None:
    samples = [sample(text="Layers carry.", target="Short."), sample(text="x", target="naïve copies")]
    checkpoint = Transformers().open(str(translator), Installed())
    batch = checkpoint.collate(samples)
    assert batch["decoder_input_ids"][:, 0].tolist() == [0, 0]
    found = observed(translator, samples, "logprob", "tokens", "spans", "decoder.block.1")
    for each in samples:
        tokens = found[each.key, "tokens"]
        assert found[each.key, "logprob"].shape == (len(tokens) - 1,)
        assert found[each.key, "decoder.block.1"].shape == (len(tokens), 32), "the target's length, not the source's"
        assert int(found[each.key, "spans"][-1, 1]) == len(each.fields["target"].encode())
    plain = hf.T5ForConditionalGeneration.from_pretrained(translator, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = plain(**batch).logits.log_softmax(-1)
    tokens = found[samples[0].key, "tokens"]
    wanted = expected[0, : len(tokens) - 1].gather(-1, tokens[1:, None])[:, 0]
    torch.testing.assert_close(found[samples[0].key, "logprob"], wanted, rtol=0, atol=1e-5)


def test_without_a_target_the_decoder_has_its_start_token(translator: Path) -> None:
    found = observed(translator, [sample(text="Layers carry.")], "tokens", "logits")
    assert [value.shape[0] for value in found.values()] == [1, 1]
    assert isinstance(answers(translator, [sample(text="Layers carry.", max_new_tokens=3)])[0], str)


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory, words: Callable[[], Any]) -> Path:
    folder = tmp_path_factory.mktemp("whisper")
    config = hf.WhisperConfig(
        vocab_size=320, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, num_mel_bins=16,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_source_positions=50, pad_token_id=1,
        decoder_start_token_id=0, bos_token_id=0, eos_token_id=1, begin_suppress_tokens=None, suppress_tokens=None,
    )  # fmt: skip
    torch.manual_seed(0)
    hf.WhisperForConditionalGeneration(config).save_pretrained(folder)
    words().save_pretrained(folder)
    hf.WhisperFeatureExtractor(feature_size=16, chunk_length=1).save_pretrained(folder)
    return folder


def test_speech_becomes_the_target(recogniser: Path) -> None:
    wave = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    samples = [sample(audio=wave, rate=16000, target="Short."), sample(audio=wave[::-1].copy(), rate=16000, target="x")]
    found = observed(recogniser, samples, "logprob", "tokens", "model.encoder.layers.0")
    for each in samples:
        assert len(found[each.key, "logprob"]) == len(found[each.key, "tokens"]) - 1
        assert found[each.key, "model.encoder.layers.0"].shape == (50, 32)
    asked = sample(audio=wave, rate=16000, max_new_tokens=3)
    assert isinstance(answers(recogniser, [asked])[0], str)


def test_what_writes_alone_has_words_of_its_decoder(recogniser: Path, words: Callable[[], Any], tmp_path: Path) -> None:
    blueprint = Transformers().inspect(str(recogniser))
    assert (blueprint.vocabulary, blueprint.context, blueprint.missing) == (320, 448, ())
    assert blueprint.tokenizer == tokenizer_hash(words())
    hf.WhisperConfig(architectures=["WhisperForConditionalGeneration"]).save_pretrained(tmp_path)
    found = Transformers().inspect(str(tmp_path))
    assert (found.vocabulary, found.context) == (51865, 448)
    assert found.missing == ("weights (*.safetensors)", "tokenizer.json", "preprocessor_config.json")


def test_scores_of_frames_have_words_and_colours_have_none(tmp_path: Path) -> None:
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    hf.Wav2Vec2Config(vocab_size=40, architectures=["Wav2Vec2ForCTC"], **shape).save_pretrained(tmp_path)
    heard = Transformers().inspect(str(tmp_path))
    assert (heard.vocabulary, heard.context) == (40, 0)
    assert "tokenizer.json" in heard.missing
    config = hf.ImageGPTConfig(n_embd=32, n_layer=2, n_head=2, architectures=["ImageGPTForCausalImageModeling"])
    config.save_pretrained(tmp_path)
    assert "tokenizer.json" not in Transformers().inspect(str(tmp_path)).missing


def test_arguments_that_a_sample_carries_are_taken_as_they_are(recogniser: Path) -> None:
    generator = np.random.default_rng(0)
    features = [generator.standard_normal((1, 16, 100)).astype(np.float32) for _ in range(2)]
    samples = [sample(input_features=each, decoder_input_ids=[0, 5, 6]) for each in features]
    batch = Transformers().open(str(recogniser), Installed()).collate(samples)
    assert batch["input_features"].shape == (2, 16, 100)
    assert batch["decoder_input_ids"].tolist() == [[0, 5, 6]] * 2
    with pytest.raises(NexusError, match="no numbers under 'decoder_input_ids'"):
        Transformers().open(str(recogniser), Installed()).collate([samples[0], sample(input_features=features[1])])
