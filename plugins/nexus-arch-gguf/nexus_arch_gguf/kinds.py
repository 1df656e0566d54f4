"""What a file is that holds no model: named, with what to name instead."""

from __future__ import annotations

from collections.abc import Mapping

from .source import Source

MODEL = "Name the file of the model itself."
OF_DIFFUSION = frozenset({
    "aura", "chroma", "cosmos", "flux", "hidream", "hyvid", "ltxv", "lumina2", "pig", "qwen_image", "sd1", "sd3",
    "sdxl", "wan", "z_image",
})  # fmt: skip
"""Architectures of denoisers, as ComfyUI's loader of GGUF names them (its IMG_ARCH_LIST); gguf names none of them."""
DENOISER = ("model.diffusion_model.", "double_blocks.", "joint_blocks.", "transformer_blocks.", "input_blocks.")
"""How tensors of denoisers begin, in files that name no architecture (stable-diffusion.cpp's)."""
TYPES: Mapping[str, str] = {
    "imatrix": f"an importance matrix, which a quantiser reads, and no weights. {MODEL}",
    "control_vector": f"a control vector: directions that llama.cpp adds to a model's states. {MODEL}",
}
"""Value of `general.type` -> what it is."""


def other(source: Source) -> str:
    """What the file is, if it is no model that could be opened; "" for one."""
    kind = source.text("general.type", "model")
    if source.architecture == "clip":
        return ""                                           # a tower, or refused by its projector
    if source.architecture == "controlvector":
        kind = "control_vector"
    if kind == "adapter":
        return _adapter(source)
    if kind != "model":
        return TYPES.get(kind, f"no model: its 'general.type' is '{kind}'. {MODEL}")
    if source.architecture in OF_DIFFUSION or (not source.architecture and _denoises(source)):
        return (
            f"the denoiser of an image or film generator ({source.architecture or 'of no named architecture'}), as "
            "ComfyUI and stable-diffusion.cpp run it, and GGUF holds only that part. Name the generator's folder in "
            "the layout of Diffusers, with its model_index.json."
        )
    if not source.places:
        return f"a file with no tensors, as vocabularies are kept. {MODEL}"
    if not source.architecture:
        return "a file that names no architecture ('general.architecture'), and no model can be made of it."
    return ""


def _adapter(source: Source) -> str:
    named = source.text("adapter.type", "").upper() or "unnamed"
    return (
        f"an adapter ({named}) for models of the architecture '{source.architecture}', and no model. Name the model's "
        "own file; an adapter is read from PEFT's folder (adapter_config.json), on top of a folder of safetensors."
    )


def _denoises(source: Source) -> bool:
    return any(name.startswith(DENOISER) for name in source.places)
