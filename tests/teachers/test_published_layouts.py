"""What repositories hold beside the files that are read: the original's files, other frameworks', other precisions',
other formats'. None of them changes what a teacher is, and none is fetched or opened."""

import shutil

import pytest
import torch
from nexus_specs import Installed
from nexus_specs.installed import loader
from safetensors.torch import save_file
from tiny_teachers.checking import source_of
from tiny_teachers.rows import by_name

BESIDE = {
    "whisper-large-v3": ("pytorch_model.bin", "pytorch_model.fp32-00001-of-00002.bin", "flax_model.msgpack",
                         "model.fp32-00001-of-00002.safetensors", "model.fp32-00002-of-00002.safetensors",
                         "model.safetensors.index.fp32.json"),
    "llama-3-2-vision": ("original/consolidated.00.pth", "original/params.json", "original/tokenizer.model",
                         "USE_POLICY.md"),
    "deepseek-v3": ("configuration_deepseek.py", "modeling_deepseek.py", "inference/model.py",
                    "inference/configs/config_671B.json", "figures/benchmark.png"),
    "qwen2-5-coder-7b": ("consolidated.safetensors", "params.json", "tekken.json", "onnx/model.onnx",
                         "onnx/model_quantized.onnx", "qwen-q4_k_m.gguf", "rust_model.ot", "tf_model.h5"),
    "parakeet-tdt-0-6b": ("parakeet-tdt-0.6b-v3.nemo", "plots/asr.png"),
    "encodec-24khz": ("pytorch_model.bin", "audio.flac"),
    "qwen3-tts-custom-voice": ("speech_tokenizer/config.json", "speech_tokenizer/model.safetensors",
                               "speech_tokenizer/preprocessor_config.json"),
    "step3-vl-10b": ("configuration_step_vl.py", "modeling_step_vl.py", "vision_encoder.py", "processing_step3.py",
                     "figures/logo.png"),
    "videomae-large": ("pytorch_model.bin", "tf_model.h5"),
    "mimi": ("README.md", "audio.wav"),
    "dac-44khz": ("weights.pth", "pytorch_model.bin"),
    "glm-4-7-flash": ("model.safetensors.index.fp8.json", "docs/report.pdf"),
    "personaplex-7b": ("voices.tgz", "dist.tgz", "README.md"),
    "svd-xt-1-1": ("svd_xt_1_1.safetensors", "svd11.webp", "unet/diffusion_pytorch_model.fp16.safetensors",
                   "vae/diffusion_pytorch_model.fp16.safetensors", "image_encoder/model.fp16.safetensors"),
    "stable-diffusion-3-medium": ("sd3_medium.safetensors", "text_encoder/model.fp16.safetensors",
                                  "text_encoder_3/model.fp16-00001-of-00002.safetensors",
                                  "text_encoder_3/model.fp16-00002-of-00002.safetensors",
                                  "text_encoder_3/model.safetensors.index.fp16.json"),
}  # fmt: skip
"""Card -> files that its repository holds, or that repositories of its kind hold."""
SLOW = {"svd-xt-1-1"}
"""Eight seconds."""


def add(folder, names):
    """Files that are nothing like what they are called, and weights of another shape."""
    for name in names:
        path = folder / name
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".safetensors":
            save_file({"model.original.weight": torch.zeros(3, 5)}, path)
        elif path.suffix == ".json":
            path.write_text('{"weight_map": {"model.original.weight": "elsewhere.safetensors"}, "dim": 4096}')
        else:
            path.write_bytes(b"\x80\x04nothing that may be opened")


def described(source):
    return loader(Installed(), source)[1].inspect(source)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in BESIDE
])  # fmt: skip
def test_what_lies_beside_is_left_alone(name, tmp_path, server):
    row = by_name()[name]
    row.build(tmp_path / "plain")
    wanted = described(source_of(row, tmp_path / "plain"))
    shutil.copytree(tmp_path / "plain", tmp_path / "published")
    before = {path for path in (tmp_path / "plain").rglob("*") if path.is_file()}
    add(tmp_path / "published", BESIDE[name])
    assert described(source_of(row, tmp_path / "published")) == wanted

    server.add("acme/published", tmp_path / "published")
    source = source_of(row, tmp_path / "published").replace(str(tmp_path / "published"), "acme/published")
    assert described(source) == wanted
    weights = {f"acme/published/{path.relative_to(tmp_path / 'plain')}" for path in before}
    heavy = (".safetensors", ".bin", ".pth", ".msgpack", ".nemo", ".gguf", ".onnx", ".h5", ".ot", ".tgz", ".py")
    assert {served for served in server.served if served.endswith(heavy)} <= weights
    found = loader(Installed(), source)[1].origin(source)
    stored = sum(path.stat().st_size for path in before if path.suffix == ".safetensors")
    assert found.bytes <= stored, "the plan counts what is read, once"
