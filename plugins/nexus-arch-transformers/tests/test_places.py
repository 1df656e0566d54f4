"""Places of pictures in texts, where the processor writes them itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Budget, Installed, Tap
from nexus_specs.testing import ListSink, sample

SHAPE = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def blip(folder: Path, words: Callable[[], Any]) -> Any:
    tokenizer = words()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    width = {"hidden_size": 16, **SHAPE}
    config = hf.Blip2Config(
        vision_config={"image_size": 28, "patch_size": 14, **width},
        qformer_config={"encoder_hidden_size": 16, **width},
        text_config=hf.OPTConfig(vocab_size=320, ffn_dim=32, word_embed_proj_dim=16, **width),
        num_query_tokens=4, image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    hf.Blip2ForConditionalGeneration(config).save_pretrained(folder)
    made = hf.Blip2Processor(hf.BlipImageProcessorPil(size={"height": 28, "width": 28}), tokenizer, num_query_tokens=4)
    made.save_pretrained(folder)
    return made


def florence(folder: Path, words: Callable[[], Any]) -> Any:
    """Its tasks are the only content of a prompt."""
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=words().backend_tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    sides = {name: [2, 2, 2, 2] for name in ("num_heads", "num_groups")}
    text = hf.BartConfig(d_model=16, vocab_size=320, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=32,
                         decoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2)  # fmt: skip
    vision = {"embed_dim": [16, 16, 16, 16], "depths": [1, 1, 1, 1], "projection_dim": 16, **sides}
    hf.Florence2ForConditionalGeneration(
        hf.Florence2Config(text_config=text, vision_config=vision, image_token_id=tokenizer.image_token_id)
    ).save_pretrained(folder)
    pictures = hf.CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False)
    pictures.image_seq_length = 4
    made = hf.Florence2Processor(pictures, tokenizer)
    made.save_pretrained(folder)
    return made


@pytest.mark.parametrize("write", [blip, florence])
def test_a_processor_that_writes_places_itself_is_given_none(
    write: Any, tmp_path: Path, words: Callable[[], Any]
) -> None:
    made = write(tmp_path, words)
    picture = np.random.default_rng(0).integers(256, size=(40, 30, 3), dtype=np.uint8)
    expected = made(text=["<CAPTION>"], images=[picture], return_tensors="pt")
    batch = Transformers().open(str(tmp_path), Installed()).collate([sample(text="<CAPTION>", image=picture)])
    for name in ("input_ids", "pixel_values"):
        torch.testing.assert_close(batch[name], expected[name], rtol=0, atol=0)


def test_words_behind_the_states_of_a_picture_have_their_scores(tmp_path: Path, words: Callable[[], Any]) -> None:
    """GIT's decoder runs over the patches, then the words, and scores both: those of the words are observed."""
    torch.manual_seed(0)
    width = {"hidden_size": 16, **SHAPE}
    seen = {"image_size": 28, "patch_size": 14, **width}
    model = hf.GitForCausalLM(hf.GitConfig(vocab_size=320, vision_config=seen, **width)).eval()
    model.save_pretrained(tmp_path)
    pictures = hf.CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    made = hf.GitProcessor(pictures, words())
    made.save_pretrained(tmp_path)
    image = np.random.default_rng(0).integers(256, size=(28, 28, 3), dtype=np.uint8)
    given = [sample(image=image, text=text) for text in ("x = [1, 2]", "Layers carry")]
    sink = ListSink()
    engine = Installed().make("engine", "sli")
    checkpoint = Transformers().open(str(tmp_path), Installed())
    budget = Budget(memory=1 << 40, scratch=tmp_path, micro_batch=2, residency="stream")
    with engine.load(checkpoint, budget) as teacher:
        teacher.observe(given, [Tap(path=path) for path in ("logprob", "final", "tokens")], sink)
    for each in given:
        batch = made(images=[image], text=[each.fields["text"]], return_tensors="pt")
        with torch.no_grad():
            scores = model(**batch).logits.float().log_softmax(-1)
        ids = batch["input_ids"][0]
        expected = scores[0, -len(ids) :][torch.arange(len(ids) - 1), ids[1:]]
        torch.testing.assert_close(sink.value(each.key, "logprob")[-len(expected) :], expected, rtol=1e-4, atol=1e-5)
        assert len(sink.value(each.key, "final")) == len(ids)
        assert sink.value(each.key, "tokens").tolist() == ids.tolist()


def test_no_loss_is_made_of_what_is_only_observed(tmp_path: Path, words: Callable[[], Any]) -> None:
    """PaliGemma's processor gives labels whenever it gives the types of tokens: scores of all words in float32."""
    tokenizer = words()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    width = {"hidden_size": 16, "num_key_value_heads": 1, "head_dim": 8, **SHAPE}
    seen = hf.SiglipVisionConfig(image_size=28, patch_size=14, hidden_size=16, vision_use_head=False, **SHAPE)
    config = hf.PaliGemmaConfig(
        vision_config=seen, text_config=hf.GemmaConfig(vocab_size=320, **width), projection_dim=16,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    hf.PaliGemmaForConditionalGeneration(config).save_pretrained(tmp_path)
    pictures = hf.SiglipImageProcessorPil(size={"height": 28, "width": 28})
    pictures.image_seq_length = 4
    hf.PaliGemmaProcessor(pictures, tokenizer).save_pretrained(tmp_path)
    image = np.zeros((28, 28, 3), np.uint8)
    batch = Transformers().open(str(tmp_path), Installed()).collate([sample(image=image, text="x = [1, 2]")])
    assert "labels" not in batch
    assert "token_type_ids" in batch
