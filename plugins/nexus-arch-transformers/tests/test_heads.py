"""Heads that judge: of each token without its padding, of a text whose decoder reads it again, of its last token."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Budget, Installed, NexusError, Tap
from nexus_specs.testing import ListSink, sample
from nexus_torch.hugging_face.inputs.collate import Preprocessor
from nexus_torch.padding import Collated
from torch import Tensor

TEXTS = ("Layers carry what a model knows.", "Short.", "A tower keeps one ability.")
SIZES: dict[str, Any] = {
    "vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "initializer_range": 0.3,
}  # fmt: skip
BART: dict[str, Any] = {
    "vocab_size": 300, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "pad_token_id": 1, "eos_token_id": 2,
    "bos_token_id": 0, "decoder_start_token_id": 2, "forced_eos_token_id": 2,
}  # fmt: skip
T5: dict[str, Any] = {
    "vocab_size": 300, "d_model": 32, "num_layers": 2, "num_heads": 4, "d_kv": 8, "d_ff": 48, "eos_token_id": 2,
    "pad_token_id": 1, "decoder_start_token_id": 1, "num_labels": 3,
}  # fmt: skip
Saved = Callable[..., Path]


@pytest.fixture
def saved(tmp_path: Path, words: Callable[[], hf.PreTrainedTokenizerFast]) -> Saved:
    """A folder of a class of transformers, with a tokenizer; `ends`: which puts token 2 behind every text."""

    def make(kind: type[Any], config: Any, *, pads: bool = True, ends: bool = False) -> Path:
        home, made = tmp_path / kind.__name__, words()
        torch.manual_seed(0)
        kind(config).save_pretrained(home)
        if not pads:
            made.pad_token = None
        if ends:
            from tokenizers.processors import TemplateProcessing

            token = made.convert_ids_to_tokens(2)
            behind = TemplateProcessing(single=f"$A {token}", special_tokens=[(token, 2)])
            made.backend_tokenizer.post_processor = behind
        made.save_pretrained(home)
        return home

    return make


@pytest.fixture
def llama(checkpoint_folder: Callable[[str], Path]) -> Path:
    return checkpoint_folder("llama")


def observed(home: Path, *taps: str, residency: Any = "stream", together: int = 3) -> dict[str, list[Tensor]]:
    checkpoint, sink = Transformers().open(str(home), Installed()), ListSink()
    given = [sample(text=text) for text in TEXTS]
    budget = Budget(residency=residency, micro_batch=together)
    with Installed().make("engine", "sli").load(checkpoint, budget) as teacher:
        teacher.observe(given, [Tap(path=path) for path in taps], sink)
    found = {(piece.tap, key): value for piece in sink.pieces
             for key, value in zip(piece.keys, piece.values, strict=True)}  # fmt: skip
    return {path: [torch.as_tensor(found[path, each.key]).float() for each in given] for path in taps}


def plain(home: Path, kind: type[Any]) -> list[Any]:
    model, words = kind.from_pretrained(home).eval(), hf.AutoTokenizer.from_pretrained(home)
    found = []
    for text in TEXTS:
        given = words(text, return_tensors="pt")
        with torch.no_grad():
            names = {"input_ids", "attention_mask"} & given.keys()
            found.append(model(**{name: given[name] for name in names}, output_hidden_states=True))
    return found


@pytest.mark.parametrize("residency", ["resident", "stream"])
@pytest.mark.parametrize("kind", [hf.BertForMaskedLM, hf.BertForTokenClassification, hf.BertForQuestionAnswering])
def test_a_head_of_tokens_gives_each_token_its_scores(kind: type[Any], residency: Any, saved: Saved) -> None:
    home = saved(kind, hf.BertConfig(**SIZES))
    found = observed(home, "output", "embedding", residency=residency)
    for scores, vector, right in zip(found["output"], found["embedding"], plain(home, kind), strict=True):
        both = kind is hf.BertForQuestionAnswering
        expected = torch.stack([right.start_logits, right.end_logits], -1) if both else right.logits
        assert torch.allclose(scores, expected[0], atol=1e-5)
        assert torch.allclose(vector, right.hidden_states[-1][0].mean(0), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "config"),
    [(hf.BartForSequenceClassification, hf.BartConfig(**BART)), (hf.T5ForSequenceClassification, hf.T5Config(**T5))],
)
def test_a_decoder_that_judges_reads_the_text_again(kind: type[Any], config: Any, saved: Saved) -> None:
    home = saved(kind, config, ends=True)
    for together in (1, 3):
        found = observed(home, "output", together=together)["output"]
        for scores, right in zip(found, plain(home, kind), strict=True):
            assert torch.allclose(scores, right.logits[0], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "config"),
    [(hf.LlamaForSequenceClassification, hf.LlamaConfig(**SIZES, num_labels=1, pad_token_id=2)),
     (hf.BartForSequenceClassification, hf.BartConfig(**{**BART, "eos_token_id": 1, "forced_eos_token_id": 1}))],
)  # fmt: skip
def test_padding_that_a_head_does_not_take_for_padding(kind: type[Any], config: Any, saved: Saved) -> None:
    """The tokenizer pads with token 1: a reward would be that of padding, or an end that is counted."""
    home = saved(kind, config)
    if kind is hf.BartForSequenceClassification:
        words = hf.AutoTokenizer.from_pretrained(home)
        from tokenizers.processors import TemplateProcessing

        words.backend_tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
        words.save_pretrained(home)
    for scores, right in zip(observed(home, "output")["output"], plain(home, kind), strict=True):
        assert torch.allclose(scores, right.logits[0], atol=1e-5)


@pytest.mark.parametrize("pads", [True, False])
def test_a_reward_that_is_read_off_the_last_token(pads: bool, saved: Saved) -> None:
    """Without a token for padding, as most are saved: each text goes alone."""
    config = hf.LlamaConfig(**SIZES, num_labels=1)
    assert config.pad_token_id is None
    home = saved(hf.LlamaForSequenceClassification, config, pads=pads)
    found = observed(home, "output")["output"]
    for scores, right in zip(found, plain(home, hf.LlamaForSequenceClassification), strict=True):
        assert torch.allclose(scores, right.logits[0], atol=1e-5)


def test_states_that_are_pooled_hold_no_padding(saved: Saved) -> None:
    config = hf.FunnelConfig(vocab_size=300, block_sizes=[1, 1], d_model=32, n_head=4, d_head=8, d_inner=48)
    home = saved(hf.FunnelBaseModel, config)
    alone, together = (observed(home, "embedding", together=count)["embedding"] for count in (1, 3))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (hf.FNetModel, hf.FNetConfig(**{**SIZES, "max_position_embeddings": 64})),
        (hf.ConvBertModel, hf.ConvBertConfig(**SIZES, embedding_size=32)),
        (hf.LongformerModel, hf.LongformerConfig(**SIZES, attention_window=16, pad_token_id=1)),
    ],
)
def test_padding_that_is_seen_is_no_part_of_a_batch(kind: type[Any], config: Any, saved: Saved) -> None:
    """Transforms and convolutions go over it; a text that is filled up to a window has states of it."""
    home = saved(kind, config)
    layer = Transformers().inspect(str(home)).stacks[0].layers[-1]
    together = observed(home, "embedding", layer)
    for vector, state, right in zip(together["embedding"], together[layer], plain(home, kind), strict=True):
        assert torch.allclose(state[: right.hidden_states[-1].shape[1]], right.hidden_states[-1][0], atol=1e-5)
        expected = right.pooler_output[0] if kind is not hf.ConvBertModel else right.last_hidden_state[0].mean(0)
        assert torch.allclose(vector, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, lambda states: states.mean(0)),
        ({"pooling_mode": "cls"}, lambda states: states[0]),
        ({"pooling_mode_lasttoken": True}, lambda states: states[-1]),
        ({"pooling_mode_max_tokens": True, "pooling_mode_cls_token": True},
         lambda states: torch.cat([states[0], states.amax(0)])),
    ],
)  # fmt: skip
@pytest.mark.parametrize("normal", [True, False])
def test_a_folder_of_sentences_says_its_own_vector(
    said: dict[str, Any], expected: Callable[[Tensor], Tensor], normal: bool, saved: Saved
) -> None:
    home, steps = saved(hf.BertModel, hf.BertConfig(**SIZES)), ["Transformer", "Pooling", "Normalize"]
    named = [{"idx": at, "path": f"{at}_{step}" if at else "", "type": f"sentence_transformers.models.{step}"}
             for at, step in enumerate(steps[: 3 if normal else 2])]  # fmt: skip
    (home / "modules.json").write_text(json.dumps(named))
    (home / "1_Pooling").mkdir()
    (home / "1_Pooling" / "config.json").write_text(json.dumps(said))
    found = observed(home, "embedding")["embedding"]
    for vector, right in zip(found, plain(home, hf.BertModel), strict=True):
        wanted = expected(right.last_hidden_state[0])
        assert torch.allclose(vector, wanted / wanted.norm() if normal else wanted, atol=1e-5)


def test_a_pooling_that_is_not_there_or_not_known_is_said(saved: Saved) -> None:
    home = saved(hf.BertModel, hf.BertConfig(**SIZES))
    (home / "modules.json").write_text(json.dumps([{"path": "1_Pooling", "type": "sentence_transformers.Pooling"}]))
    with pytest.raises(NexusError, match=r"1_Pooling/config\.json' is not there. Fetch it"):
        Transformers().open(str(home), Installed())
    (home / "1_Pooling").mkdir()
    (home / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "median"}))
    with pytest.raises(NexusError, match="names no pooling that is known here: cls_token, max_tokens"):
        Transformers().open(str(home), Installed())


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_a_head_of_choices_scores_each_choice(residency: Any, saved: Saved) -> None:
    home = saved(hf.BertForMultipleChoice, hf.BertConfig(**SIZES))
    asked = [sample(prompt="Who keeps?", choices=["A tower.", "Layers carry."]),
             sample(text="A", choices=["x", "y z", "1"])]  # fmt: skip
    checkpoint, sink = Transformers().open(str(home), Installed()), ListSink()
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency=residency, micro_batch=2)) as teacher:
        teacher.observe(asked, [Tap(path="output")], sink)
        answers = teacher.generate(asked) if residency == "resident" else []
    model, words = hf.BertForMultipleChoice.from_pretrained(home).eval(), hf.AutoTokenizer.from_pretrained(home)
    for at, each in enumerate(asked):
        choices = each.fields["choices"]
        question = [each.fields.get("text") or each.fields["prompt"]] * len(choices)
        given = words(question, choices, return_tensors="pt", padding=True)
        with torch.no_grad():
            right = model(**{name: value[None] for name, value in given.items()}).logits[0]
        assert torch.allclose(torch.as_tensor(sink.values("output")[each.key]), right, atol=1e-5)
        assert not answers or answers[at] == choices[int(right.argmax())]
    ids = words(["A"] * 3, ["x", "y", "z"], return_tensors="np")["input_ids"]
    ready = [sample(input_ids=np.roll(ids, by, 0)[None]) for by in range(3)]
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher:
        assert set(teacher.generate(ready)) == {"0", "1", "2"}, "a number where no choice has words"
    with pytest.raises(NexusError, match="Give it a list of texts as 'choices'"):
        checkpoint.collate([sample(text="no choices")])


def test_a_head_of_points_gives_its_map(tmp_path: Path, images: list[Any]) -> None:
    shape = {"hidden_sizes": [8, 16, 24, 32], "depths": [1] * 4, "num_attention_heads": [1, 1, 2, 2]}
    torch.manual_seed(0)
    hf.SegformerForSemanticSegmentation(hf.SegformerConfig(num_labels=5, **shape)).save_pretrained(tmp_path)
    hf.SegformerImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    checkpoint, sink = Transformers().open(str(tmp_path), Installed()), ListSink()
    assert checkpoint.blueprint.gives == ("scores", "embedding")
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher:
        teacher.observe(images, [Tap(path="output"), Tap(path="embedding")], sink)
    model = hf.SegformerForSemanticSegmentation.from_pretrained(tmp_path).eval()
    for each in images:
        with torch.no_grad():
            right = model(checkpoint.collate([each])["pixel_values"], output_hidden_states=True)
        assert torch.allclose(torch.as_tensor(sink.values("output")[each.key]), right.logits[0], atol=1e-5)
        below = right.hidden_states[-1][0].flatten(1).mean(-1)
        assert torch.allclose(torch.as_tensor(sink.values("embedding")[each.key]), below, atol=1e-5)


def test_a_body_with_a_decoder_reads_the_text_again(saved: Saved) -> None:
    """As facebook/bart-base names itself: its decoder would see one start token."""
    home = saved(hf.BartModel, hf.BartConfig(**BART))
    layer, right_ones = "decoder.layers.1", plain(home, hf.BartModel)
    found = observed(home, "embedding", layer)
    for vector, state, right in zip(found["embedding"], found[layer], right_ones, strict=True):
        assert torch.allclose(state, right.last_hidden_state[0], atol=1e-5)
        assert torch.allclose(vector, right.last_hidden_state[0].mean(0), atol=1e-5)
    checkpoint = Transformers().open(str(home), Installed())
    aimed = [sample(text="A", target="x y"), sample(text="A")]
    assert checkpoint.collate(aimed[:1])["decoder_input_ids"].shape[1] > 2, "its own target is read instead"
    assert "decoder_input_ids" not in checkpoint.collate(aimed[1:])
    assert len(checkpoint.groups(aimed)) == 2


def test_a_body_with_a_decoder_beside_pictures_begins_it() -> None:
    """PP-FormulaNet's would read the text again too, and there is none."""
    made = Preprocessor(Path("nowhere"), ("image",), generative=False, context=8, channels=3, decoder_start=2)
    made.rereads = True
    given = Collated({"pixel_values": torch.zeros(1, 3, 4, 4)})
    (found,) = made._parts([sample(label="one")], [], given)
    assert found["decoder_input_ids"].tolist() == [[2]]


def test_a_tokenizer_without_names_for_its_tokens(saved: Saved) -> None:
    """tokenizer.json alone: the configuration says what stands first."""
    home = saved(hf.LlamaForCausalLM, hf.LlamaConfig(**SIZES, bos_token_id=7))
    (home / "tokenizer_config.json").unlink()
    found = observed(home, "logits", "tokens")
    words = hf.AutoTokenizer.from_pretrained(home)
    for text, tokens in zip(TEXTS, found["tokens"], strict=True):
        assert tokens.tolist() == [7, *words(text)["input_ids"]]


def test_a_text_of_no_tokens_and_ids_of_no_row_are_refused(saved: Saved, llama: Path) -> None:
    home = saved(hf.BertModel, hf.BertConfig(**SIZES))
    with pytest.raises(NexusError, match=r"makes no token of the sample '\w+', whose text is ''"):
        Transformers().open(str(home), Installed()).collate([sample(text="words"), sample(text="")])
    checkpoint = Transformers().open(str(llama), Installed())
    teller = Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident"))
    with teller as teacher, pytest.raises(NexusError, match="A sample has the id 900 in 'input_ids'"):
        teacher.generate([sample(input_ids=[1, 900])])


def test_options_of_another_loader_are_refused(llama: Path) -> None:
    with pytest.raises(NexusError, match="asks for 'height=7', and a model of transformers takes nothing behind '#'"):
        Transformers().match(f"{llama}#height=7")


def test_two_encoders_whose_scale_of_likenesses_is_not_stored(tmp_path: Path, images: list[Any]) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    seeing = {**sizes, "image_size": 8, "patch_size": 4}
    torch.manual_seed(0)
    model = hf.CLIPModel(hf.CLIPConfig(text_config={**sizes, "vocab_size": 300}, vision_config=seeing)).eval()
    model.save_pretrained(tmp_path, state_dict={
        name: value for name, value in model.state_dict().items() if name != "logit_scale"
    })  # fmt: skip
    square = {"height": 8, "width": 8}
    hf.CLIPImageProcessorPil(size={"shortest_edge": 8}, crop_size=square).save_pretrained(tmp_path)
    checkpoint, sink = Transformers().open(str(tmp_path), Installed()), ListSink()
    assert not any("logit_scale" in each for each in checkpoint.blueprint.missing)
    given = [sample(input_ids=[1, 2, 3], pixel_values=torch.rand(1, 3, 8, 8).numpy())]
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher:
        teacher.observe(given, [Tap(path="output")], sink)
    with torch.no_grad():
        right = model.get_image_features(torch.tensor(given[0].fields["pixel_values"])).pooler_output[0]
    found = torch.as_tensor(sink.values("output")[given[0].key])
    assert torch.allclose(found, right / right.norm(), atol=1e-5)


def test_a_scale_inside_attention_is_missed(tmp_path: Path) -> None:
    """Swin v2 calls one of every head by the same name, and reads it."""
    model = hf.Swinv2Model(hf.Swinv2Config(image_size=32, embed_dim=8, depths=[1], num_heads=[2], window_size=4))
    kept = {name: value for name, value in model.state_dict().items() if not name.endswith("logit_scale")}
    model.save_pretrained(tmp_path, state_dict=kept)
    assert any("logit_scale" in each for each in Transformers().inspect(str(tmp_path)).missing)


def test_classes_without_names_are_numbered(tmp_path: Path) -> None:
    shape = {"image_size": 32, "hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4, "num_attention_heads": [1, 1, 2, 2]}
    hf.PvtForImageClassification(hf.PvtConfig(**shape, num_labels=4)).save_pretrained(tmp_path)
    said = json.loads((tmp_path / "config.json").read_text()) | {"id2label": None, "num_labels": 4}
    (tmp_path / "config.json").write_text(json.dumps(said))
    assert Transformers().inspect(str(tmp_path)).labels == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3")


def test_the_embedding_of_a_backbone_is_of_its_deepest_map(tmp_path: Path, images: list[Any]) -> None:
    torch.manual_seed(0)
    config = hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], out_features=["stage1", "stage2"])
    model = hf.ResNetBackbone(config).eval()
    model.save_pretrained(tmp_path)
    hf.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    checkpoint, sink = Transformers().open(str(tmp_path), Installed()), ListSink()
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher:
        teacher.observe(images[:1], [Tap(path="embedding")], sink)
    with torch.no_grad():
        deepest = model(checkpoint.collate(images[:1])["pixel_values"]).feature_maps[-1]
    found = torch.as_tensor(sink.values("embedding")[images[0].key])
    assert torch.allclose(found, deepest[0].flatten(1).mean(-1), atol=1e-5)
