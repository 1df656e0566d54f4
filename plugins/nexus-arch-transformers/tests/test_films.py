"""Models that follow an object through a film: what Nexus observes of a whole film is what transformers' sessions give
frame by frame, and streamed it is the same to the last bit."""

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
from nexus_torch.hugging_face.inputs.films import staying
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

FRAMES, SIDE, WIDE = 3, 256, 128
"""WIDE: more than the 64 of a memory, which stand in transformers' code."""
TOWER, DECODER = "vision_encoder.backbone.blocks.1", "mask_decoder.transformer.layers.0"


def tiny() -> Any:
    """SAM 2 in its published form, three feature levels, small."""
    tower = hf.Sam2VisionConfig(
        backbone_config={
            "model_type": "sam2_hiera_det_model", "hidden_size": 8, "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 1, 2, 2], "blocks_per_stage": [1, 2, 1, 1], "image_size": [SIDE, SIDE],
            "global_attention_blocks": [2],
        },
        backbone_channel_list=[64, 32, 16, 8], backbone_feature_sizes=[[64, 64], [32, 32], [16, 16]],
        fpn_hidden_size=WIDE,
    )  # fmt: skip
    width = {"hidden_size": WIDE}
    config = hf.Sam2VideoConfig(
        vision_config=tower, prompt_encoder_config={**width, "image_size": SIDE},
        mask_decoder_config={**width, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
        image_size=SIDE, memory_attention_hidden_size=WIDE, memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=64, memory_attention_rope_feat_sizes=[16, 16],
        memory_encoder_hidden_size=WIDE, mask_downsampler_embed_dim=WIDE, memory_fuser_embed_dim=WIDE,
        memory_fuser_intermediate_dim=64,
    )  # fmt: skip
    torch.manual_seed(0)
    return hf.Sam2VideoModel(config).eval()


@pytest.fixture(scope="module")
def follower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam2-video")
    tiny().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(FRAMES, 40, 80, 3), dtype=np.uint8)


class Kept:
    """A sink: what came of each sample, in its order."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, list[Any]]] = {}

    def put(self, piece: Any) -> None:
        for key, value in zip(piece.keys, piece.values, strict=True):
            self.found.setdefault(piece.tap, {}).setdefault(key, []).append(value)

    def flush(self) -> None:
        """Nothing is kept back."""


def observed(folder: Path, samples: list[Sample], residency: Any, *taps: str) -> dict[str, list[Any]]:
    checkpoint, sink = Transformers().open(str(folder), Installed()), Kept()
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency=residency, micro_batch=4)) as teacher:
        teacher.observe(samples, [Tap(path=tap) for tap in taps], sink)
    return {tap: [each for one in samples for each in found[one.key]] for tap, found in sink.found.items()}


def sessions(folder: Path, batch: Any) -> Any:
    """transformers' own way: the points of the first frame, then frame by frame."""
    model = hf.Sam2VideoModel.from_pretrained(folder, dtype=torch.float32).eval()
    film = batch["pixel_values"][0]
    session = Sam2VideoInferenceSession(video=film, video_height=SIDE, video_width=SIDE, dtype=torch.float32)
    shown = {"point_coords": batch["input_points"], "point_labels": batch["input_labels"]}
    session.add_point_inputs(session.obj_id_to_idx(7), 0, shown)
    session.obj_with_new_inputs = [7]
    return torch.stack([model(inference_session=session, frame_idx=at).pred_masks[:, 0] for at in range(FRAMES)])


def test_a_film_is_followed_as_sessions_follow_it(follower: Path, film: np.ndarray) -> None:
    samples = [sample(video=film, points=[[20, 10]]), sample(video=film[::-1].copy(), points=[[40, 30], [5, 5]])]
    found = observed(follower, samples, "resident", "output", TOWER, DECODER)
    checkpoint = Transformers().open(str(follower), Installed())
    assert checkpoint.blueprint.takes == ("video",)
    for each, masks in zip(samples, found["output"], strict=True):
        expected = sessions(follower, checkpoint.collate([each]))
        torch.testing.assert_close(masks, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    assert len(found[TOWER]) == 2, "the tower sees all frames of a film at once"
    assert len(found[DECODER]) == 2 * FRAMES, "the decoder one after the other"


def test_streamed_it_is_the_same(follower: Path, film: np.ndarray) -> None:
    samples = [sample(video=film), sample(video=film[:, ::-1].copy())]
    taps = ("output", TOWER, DECODER)
    resident, streamed = (observed(follower, samples, residency, *taps) for residency in ("resident", "stream"))
    for tap, values in resident.items():
        assert all(torch.equal(one, other) for one, other in zip(values, streamed[tap], strict=True))


def test_what_runs_for_every_frame_stays(follower: Path) -> None:
    checkpoint = Transformers().open(str(follower), Installed())
    with_weights = {part.path for part in checkpoint.parts if part.path and part.extents}
    assert with_weights
    assert all(path.startswith("vision_encoder.") for path in with_weights)
    assert not checkpoint.blueprint.missing or checkpoint.blueprint.missing == ("preprocessor_config.json",)


def test_points_boxes_and_masks_are_in_pixels_of_the_film(follower: Path, film: np.ndarray) -> None:
    collate = Transformers().open(str(follower), Installed()).collate
    pointed = collate([sample(video=film, points=[[20, 10], [0, 40]], labels=[1, 0])])
    assert pointed["pixel_values"].shape == (1, FRAMES, 3, SIDE, SIDE)
    assert pointed["input_points"].tolist() == [[[[64.0, 64.0], [0.0, 256.0]]]]
    assert pointed["input_labels"].tolist() == [[[1, 0]]]
    assert collate([sample(video=film)])["input_points"].tolist() == [[[[128.0, 128.0]]]], "the middle"
    assert collate([sample(video=film, box=[0, 0, 40, 20])])["input_boxes"].tolist() == [[[0.0, 0.0, 128.0, 128.0]]]
    mask = np.zeros((40, 80), dtype=bool)
    mask[:20] = True
    assert collate([sample(video=film, mask=mask)])["input_masks"].mean() == pytest.approx(0.5)


@pytest.mark.parametrize("shown", [{"box": [0, 0, 40, 20]}, {"mask": np.ones((40, 80), dtype=bool)}])
def test_boxes_and_masks_are_followed(follower: Path, film: np.ndarray, shown: dict[str, Any]) -> None:
    (masks,) = observed(follower, [sample(video=film, **shown)], "resident", "output")["output"]
    assert masks.shape == (FRAMES, 1, 64, 64)
    assert masks.isfinite().all()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"text": "a dog"}, "has no video"),
        ({"video": np.zeros((2, 8, 8), dtype=np.uint8)}, "Films are uint8"),
        ({"video": np.zeros((2, 8, 8, 3), dtype=np.uint8), "points": [1, 2]}, "not what it should be"),
        ({"video": np.zeros((2, 8, 8, 3), dtype=np.uint8), "box": [[1, 2]]}, "not what it should be"),
        ({"video": np.zeros((2, 8, 8, 3), dtype=np.uint8), "points": [[1, 2]], "labels": [1, 1]}, "a label for each"),
        ({"video": np.zeros((2, 8, 8, 3), dtype=np.uint8), "mask": np.ones((4, 4))}, "size of a frame"),
    ],
)
def test_what_cannot_be_followed_is_refused(follower: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(NexusError, match=said):
        Transformers().open(str(follower), Installed()).collate([sample(**fields)])


def test_words_name_what_sam3_finds(tmp_path: Path, words: Callable[[], Any], film: np.ndarray) -> None:
    """SAM 3 finds objects by words in every frame and follows them: as transformers' session does."""
    from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoInferenceSession

    model = sam3()
    model.save_pretrained(tmp_path)
    words().save_pretrained(tmp_path)
    each = sample(video=film, text="Short.")
    checkpoint = Transformers().open(str(tmp_path), Installed())
    assert checkpoint.blueprint.takes == ("video", "text")
    batch = checkpoint.collate([each])
    session = Sam3VideoInferenceSession(video=batch["pixel_values"][0], dtype=torch.float32)
    place = session.add_prompt("Short.")
    session.prompt_input_ids[place] = batch["input_ids"]
    session.prompt_attention_masks[place] = batch["attention_mask"]
    frames = [model(inference_session=session, frame_idx=at).obj_id_to_mask for at in range(FRAMES)]
    assert all(frames), "objects are found"
    (masks,) = observed(tmp_path, [each], "stream", "output")["output"]
    expected = torch.stack([torch.stack(list(found.values())).amax(0) for found in frames])
    torch.testing.assert_close(masks, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def sam3() -> Any:
    width = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32}
    tower = {
        "backbone_config": {"model_type": "sam3_vit_model", **width, "num_hidden_layers": 2, "image_size": 56,
                            "global_attn_indexes": [1], "window_size": 2, "pretrain_image_size": 56},
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": WIDE,
    }  # fmt: skip
    inner = {"hidden_size": WIDE, "num_attention_heads": 2, "intermediate_size": 32}
    detector = {
        "vision_config": tower,
        "text_config": {"model_type": "clip_text_model", **width, "num_hidden_layers": 1, "vocab_size": 320,
                        "projection_dim": 32, "max_position_embeddings": 32, "eos_token_id": 1},
        "geometry_encoder_config": {**inner, "num_layers": 1}, "detr_encoder_config": {**inner, "num_layers": 1},
        "detr_decoder_config": {**inner, "num_layers": 1, "num_queries": 4},
        "mask_decoder_config": {"hidden_size": WIDE, "num_attention_heads": 2},
    }  # fmt: skip
    tracker = {
        "vision_config": tower, "prompt_encoder_config": {"hidden_size": WIDE, "image_size": 56}, "image_size": 56,
        "mask_decoder_config": {"hidden_size": WIDE, "mlp_dim": 32, "num_attention_heads": 2},
        "memory_attention_hidden_size": WIDE, "memory_attention_num_layers": 1, "memory_encoder_hidden_size": WIDE,
        "memory_attention_feed_forward_hidden_size": 32, "memory_attention_rope_feat_sizes": [4, 4],
        "mask_downsampler_embed_dim": WIDE, "memory_fuser_embed_dim": WIDE, "memory_fuser_intermediate_dim": 32,
    }  # fmt: skip
    config = hf.Sam3VideoConfig(
        detector_config={"model_type": "sam3", **detector},
        tracker_config={"model_type": "sam3_tracker_video", **tracker},
        low_res_mask_size=16, score_threshold_detection=0.05, new_det_thresh=0.05, hotstart_delay=0,
    )  # fmt: skip
    torch.manual_seed(0)
    return hf.Sam3VideoModel(config).eval()


def test_what_a_decoder_asks_again_stays_while_it_streams() -> None:
    layers = ["transformer_module.decoder.layers.0", "transformer_module.decoder.mask_embed.layers.0"]
    assert staying(hf.OneFormerModel, layers) == {layers[1]}
    assert staying(hf.LlamaModel, ["layers.0"]) == frozenset()
