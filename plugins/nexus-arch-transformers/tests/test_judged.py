"""Heads over pictures, pairs and sounds: what they score, the vector below them, and the names of their classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Blueprint, Budget, Installed, Sample, Tap
from nexus_specs.testing import ListSink, sample
from torch import Tensor

SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
TEXT, SEEING = {"vocab_size": 300, **SMALL}, {"image_size": 16, "patch_size": 8, **SMALL}
SQUARE = {"height": 16, "width": 16}
QUESTIONS = ("How many towers carry it?", "Short.")
Words = Callable[[], hf.PreTrainedTokenizerFast]


def saved(home: Path, model: Any, *makers: Any) -> Any:
    torch.manual_seed(0)
    with torch.no_grad():
        for each in model.parameters():
            each.add_(torch.randn_like(each) * 0.05)
    for each in (model, *makers):
        each.save_pretrained(home)
    return model.eval()


def observed(
    home: Path, given: list[Sample], *taps: str, residency: Any = "resident", together: int = 2
) -> tuple[Blueprint, dict[str, list[Tensor]], list[Any]]:
    checkpoint, sink = Transformers().open(str(home), Installed()), ListSink()
    budget = Budget(residency=residency, micro_batch=together)
    with Installed().make("engine", "sli").load(checkpoint, budget) as teacher:
        teacher.observe(given, [Tap(path=path) for path in taps], sink)
        answers = list(teacher.generate(given)) if residency == "resident" else []
    found = {path: [torch.as_tensor(sink.values(path)[each.key]).float() for each in given] for path in taps}
    return checkpoint.blueprint, found, answers


@pytest.fixture
def asked() -> list[Sample]:
    """Questions of unequal length, each about a picture."""
    random = np.random.default_rng(0)
    return [sample(text=text, image=random.integers(256, size=(16, 16, 3), dtype=np.uint8)) for text in QUESTIONS]


def blip(home: Path, kind: type[Any], words: Words) -> tuple[Any, Any]:
    more = {"bos_token_id": 4, "sep_token_id": 1, "eos_token_id": 1, "pad_token_id": 1}
    text = {**TEXT, "encoder_hidden_size": 32, "max_position_embeddings": 256, **more}
    made = kind(hf.BlipConfig(text_config=text, vision_config=SEEING, projection_dim=16, image_text_hidden_size=16))
    processor = hf.BlipProcessor(hf.BlipImageProcessorPil(size=SQUARE), words())
    return saved(home, made, processor), processor


@pytest.mark.parametrize("residency", ["resident", "stream"])
@torch.no_grad()
def test_answers_of_a_decoder_whose_scores_the_whole_keeps_to_itself(
    residency: Any, asked: list[Sample], words: Words, tmp_path: Path
) -> None:
    """BLIP's forward gives the states of the picture alone: those were taken for scores of words."""
    model, processor = blip(tmp_path, hf.BlipForQuestionAnswering, words)
    kept: list[Any] = []
    model.text_decoder.register_forward_hook(lambda *passed: kept.append(passed[2]))
    aimed = [sample(**each.fields, target="two towers", max_new_tokens=5) for each in asked]
    _, found, answers = observed(tmp_path, aimed, "logits", "final", residency=residency)
    for at, each in enumerate(aimed):
        given = processor(images=[each.fields["image"]], text=[each.fields["text"]], return_tensors="pt")
        target = torch.tensor([[4, *processor.tokenizer(each.fields["target"])["input_ids"]]])
        model(**given, decoder_input_ids=target)
        right = kept[-1].logits[0]
        assert torch.allclose(found["logits"][at], right, atol=1e-5)
        assert found["final"][at].shape == (target.shape[1], 32)
        if answers:
            tokens = model.generate(**given, max_new_tokens=5)[0]
            assert answers[at] == processor.tokenizer.decode(tokens, skip_special_tokens=True)


@torch.no_grad()
def test_whether_a_text_is_of_a_picture(asked: list[Sample], words: Words, tmp_path: Path) -> None:
    """The score of both, where the mean of the picture's patches was given."""
    model, processor = blip(tmp_path, hf.BlipForImageTextRetrieval, words)
    blueprint, found, _ = observed(tmp_path, asked, "output")
    assert blueprint.gives == ("scores", "embedding")
    for each, scores in zip(asked, found["output"], strict=True):
        given = processor(images=[each.fields["image"]], text=[each.fields["text"]], return_tensors="pt")
        assert torch.allclose(scores, model(**given).itm_score[0], atol=1e-5)


@torch.no_grad()
def test_a_question_about_a_picture_whose_answers_are_classes(
    asked: list[Sample], words: Words, tmp_path: Path
) -> None:
    config = hf.ViltConfig(**TEXT, image_size=32, patch_size=16, max_position_embeddings=64,
                           id2label={0: "no", 1: "yes", 2: "two"})  # fmt: skip
    processor = hf.ViltProcessor(hf.ViltImageProcessorPil(size={"shortest_edge": 32}, size_divisor=32), words())
    model = saved(tmp_path, hf.ViltForQuestionAnswering(config), processor)
    blueprint, found, answers = observed(tmp_path, asked, "output")
    assert blueprint.gives == ("label",)
    assert blueprint.labels == blueprint.classes == ("no", "yes", "two")
    for at, each in enumerate(asked):
        given = processor(images=[each.fields["image"]], text=[each.fields["text"]], return_tensors="pt")
        right = model(**given).logits[0]
        assert torch.allclose(found["output"][at], right, atol=1e-5)
        assert answers[at] == blueprint.labels[int(right.argmax())]


@pytest.mark.parametrize("cut", ["rand_trunc", "fusion"])
@torch.no_grad()
def test_the_vector_of_a_sound_beside_texts(cut: str, words: Words, tmp_path: Path) -> None:
    """CLAP's output holds likenesses first, and its extractor draws which part of a long sound is heard, or which sound
    of a batch is taken for a long one."""
    hearing = {
        "spec_size": 64, "patch_size": 4, "patch_stride": [4, 4], "num_classes": 2, "hidden_size": 32, "window_size": 4,
        "patch_embeds_hidden_size": 8, "depths": [1, 1, 1], "num_attention_heads": [1, 2, 4], "num_mel_bins": 16,
        "projection_dim": 16, "projection_hidden_size": 16, "enable_fusion": cut == "fusion",
    }  # fmt: skip
    text = {**TEXT, "max_position_embeddings": 64, "pad_token_id": 1, "projection_dim": 16}
    made = hf.ClapModel(hf.ClapConfig(text_config=text, audio_config=hearing, projection_dim=16))
    extractor = hf.ClapFeatureExtractor(
        feature_size=16, sampling_rate=8000, hop_length=64, max_length_s=1, fft_window_size=256,
        truncation=cut, padding="repeatpad", frequency_max=4000,
    )  # fmt: skip
    model = saved(tmp_path, made, hf.ClapProcessor(extractor, words()))
    random, lengths = np.random.default_rng(0), (900, 900) if cut == "fusion" else (900, 900, 9999)
    heard = [sample(audio=random.standard_normal(length).astype(np.float32), rate=8000) for length in lengths]
    blueprint, found, _ = observed(tmp_path, heard, "embedding")
    assert set(blueprint.takes) == {"audio", "text"}
    for each, vector in zip(heard, found["embedding"], strict=True):
        np.random.seed(0)
        given = extractor(each.fields["audio"], sampling_rate=8000, return_tensors="pt")
        right = model.get_audio_features(**given).pooler_output[0]
        assert torch.allclose(vector, right / right.norm(), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "found"),
    [(hf.InformerForPrediction, ("predictions", "embedding")), (hf.PatchTSTForPrediction, ("predictions", "embedding")),
     (hf.PatchTSMixerForRegression, ("predictions", "embedding")), (hf.InformerModel, ("embedding",)),
     (hf.TimesFmModelForPrediction, ("predictions", "embedding")),
     (hf.PatchTSTForPretraining, ("scores", "embedding"))],
)  # fmt: skip
def test_what_foresees_a_series_gives_predictions(kind: type[Any], found: tuple[str, ...]) -> None:
    from nexus_torch.hugging_face.configuration.classes import takes
    from nexus_torch.hugging_face.configuration.giving import gives

    assert (takes(kind), gives(kind)) == (("time",), found)


def test_what_plays_step_by_step_takes_no_text() -> None:
    """No tokenizer is asked for: the class says nothing, and "text" is the default of every class."""
    from nexus_torch.hugging_face.configuration.classes import takes

    assert takes(hf.DecisionTransformerModel) == ("time",)


@torch.no_grad()
def test_the_vector_below_a_head_that_stands_on_a_backbone(images: list[Any], tmp_path: Path) -> None:
    backbone = {"model_type": "dinov2", "image_size": 28, "patch_size": 14, "out_indices": [1, 2], **SMALL,
                "reshape_hidden_states": False}  # fmt: skip
    config = hf.DepthAnythingConfig(
        backbone_config=backbone, patch_size=14, reassemble_hidden_size=32, reassemble_factors=[1, 0.5],
        neck_hidden_sizes=[8, 16], fusion_hidden_size=8, head_in_index=-1, head_hidden_size=8,
    )  # fmt: skip
    processor = hf.DPTImageProcessorPil(size={"height": 28, "width": 28})
    model = saved(tmp_path, hf.DepthAnythingForDepthEstimation(config), processor)
    blueprint, found, _ = observed(tmp_path, images, "output", "embedding")
    assert blueprint.gives == ("scores", "embedding")
    for at, each in enumerate(images):
        pixels = processor([each.fields["image"]], return_tensors="pt")["pixel_values"]
        assert torch.allclose(found["output"][at], model(pixels).predicted_depth[0], atol=1e-5)
        deepest = model.backbone.forward_with_filtered_kwargs(pixels).feature_maps[-1]
        assert torch.allclose(found["embedding"][at], deepest[0].mean(0), atol=1e-5)


def test_a_head_with_nothing_below_it_gives_scores_alone(tmp_path: Path) -> None:
    config = hf.SuperPointConfig(encoder_hidden_sizes=[8, 8, 8, 8], decoder_hidden_size=8, keypoint_decoder_dim=65,
                                 descriptor_decoder_dim=8)  # fmt: skip
    hf.SuperPointForKeypointDetection(config).save_pretrained(tmp_path)
    assert Transformers().inspect(str(tmp_path)).gives == ("scores",)


@pytest.mark.parametrize(
    ("kind", "config"),
    [(hf.BertForTokenClassification, hf.BertConfig(**TEXT)),
     (hf.YolosForObjectDetection, hf.YolosConfig(image_size=[32, 32], patch_size=16, **SMALL))],
)  # fmt: skip
def test_names_of_what_tokens_and_objects_are(kind: type[Any], config: Any, tmp_path: Path) -> None:
    """They are no classes of which a sample is one: no tower is as wide as they are many."""
    config.id2label = {0: "O", 1: "B-PER", 2: "I-PER"}
    kind(config).save_pretrained(tmp_path)
    blueprint = Transformers().inspect(str(tmp_path))
    assert (blueprint.labels, blueprint.classes) == (("O", "B-PER", "I-PER"), ())


@pytest.mark.parametrize(
    ("name", "given"),
    [("BertForPreTraining", ("scores", "embedding")), ("ElectraForPreTraining", ("scores", "embedding")),
     ("BlipForQuestionAnswering", ("text",)), ("ViltForQuestionAnswering", ("label",)),
     ("SpeechT5ForTextToSpeech", ("audio",)), ("SpeechT5ForSpeechToSpeech", ("audio",)),
     ("CLIPSegForImageSegmentation", ("scores", "embedding")),
     ("BrosSpadeELForTokenClassification", ("scores", "embedding")), ("WavLMForXVector", ("embedding",)),
     ("ColPaliForRetrieval", ("embedding",)), ("CLIPModel", ("embedding",)), ("BertModel", ("embedding",)),
     ("Blip2ForImageTextRetrieval", ("embedding",))],
)  # fmt: skip
def test_what_heads_give(name: str, given: tuple[str, ...]) -> None:
    from nexus_torch.hugging_face.configuration.giving import gives

    assert gives(getattr(hf, name)) == given


def _in_parts(kind: type[Any]) -> Any:
    small = {"encoder_hidden_sizes": [8, 8, 8, 8], "decoder_hidden_size": 8, "descriptor_decoder_dim": 8}
    points = hf.SuperPointConfig(keypoint_decoder_dim=65, **small)
    if kind is hf.SuperGlueForKeypointMatching:
        more = {"keypoint_encoder_sizes": [8, 8], "gnn_layers_types": ["self", "cross"], "num_attention_heads": 2}
        return hf.SuperGlueConfig(keypoint_detector_config=points, hidden_size=8, **more)
    return kind.config_class(**TEXT)


@pytest.mark.parametrize(
    ("kind", "found"),
    [(hf.SuperGlueForKeypointMatching, ("scores",)), (hf.LxmertForPreTraining, ("scores",)),
     (hf.BertForPreTraining, ("scores", "embedding"))],
)  # fmt: skip
def test_no_vector_is_promised_that_neither_a_head_nor_its_body_gives(kind: type[Any], found: tuple[str, ...]) -> None:
    from nexus_torch.hugging_face.configuration.giving import given

    with torch.device("meta"):
        assert given(kind(_in_parts(kind))) == found


def test_what_objects_are_is_scored_and_not_where_they_are() -> None:
    """OmDet-Turbo's output begins with boxes."""
    from nexus_torch.hugging_face.outputs.signals import signal
    from transformers.models.omdet_turbo.modeling_omdet_turbo import OmDetTurboObjectDetectionOutput

    boxes, kinds = torch.rand(2, 3, 4), torch.randn(2, 3, 5)
    output = OmDetTurboObjectDetectionOutput(decoder_coord_logits=boxes, decoder_class_logits=kinds)
    assert signal(output, {}, ("scores",), 1, films=False).outputs["output"] is kinds


def test_vectors_of_tokens_are_without_padding() -> None:
    """ColPali's, one a token: as many as a text alone has."""
    from nexus_torch.hugging_face.outputs.signals import signal
    from transformers.models.colpali.modeling_colpali import ColPaliForRetrievalOutput

    vectors, mask = torch.randn(2, 4, 3), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    found = signal(
        ColPaliForRetrievalOutput(embeddings=vectors), {"attention_mask": mask}, ("embedding",), 1, films=False
    )
    for name in ("output", "embedding"):
        torch.testing.assert_close(list(found.outputs[name]), [vectors[0], vectors[1, :2]])


def test_the_numbers_of_a_distribution_are_the_scores_of_what_foretells() -> None:
    """Not the states of the encoder, nor the scale of what was given: a tuple stands before them."""
    from nexus_torch.hugging_face.outputs.signals import signal
    from transformers.modeling_outputs import Seq2SeqTSPredictionOutput
    from transformers.models.patchtst.modeling_patchtst import PatchTSTForPredictionOutput

    width, middle, states = torch.ones(2, 5), torch.zeros(2, 5), torch.randn(2, 7, 16)
    told = Seq2SeqTSPredictionOutput(params=(middle, width), encoder_last_hidden_state=states)
    patched = PatchTSTForPredictionOutput(prediction_outputs=(middle, width), loc=states[:, :1])
    for output in (told, patched):
        found = signal(output, {}, ("scores",), 1, films=False).outputs["output"]
        assert torch.equal(found, torch.stack([middle, width], -1))


def test_a_decoder_inside_speaks_only_for_a_model_without_scores_of_its_own() -> None:
    from nexus_torch.hugging_face.configuration.giving import gives, writer

    decoder = {"vocab_size": 20, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    parts = {name: SMALL | {"vocab_size": 20, "projection_dim": 8} for name in ("text_config", "speech_config")}
    pairs = hf.ClvpModelForConditionalGeneration(hf.ClvpConfig(**parts, decoder_config=decoder, projection_dim=8))
    assert gives(type(pairs)) == ("text",)
    assert pairs.get_output_embeddings() is None
    assert writer(pairs) is pairs
