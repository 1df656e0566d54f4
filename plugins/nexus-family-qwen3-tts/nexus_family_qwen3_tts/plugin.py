"""What this distribution offers."""

from collections.abc import Iterator

from nexus_specs import ArchitectureComponent, hookimpl


@hookimpl
def nexus_architectures() -> Iterator[ArchitectureComponent]:
    """The loader."""
    yield ArchitectureComponent(
        name="qwen3-tts",
        target="nexus_family_qwen3_tts.architecture:Qwen3TTS",
        summary="Qwen3-TTS (text to 12 Hz speech codes, two Qwen3 stacks) and its speech tokenizer",
        catalogue="nexus_family_qwen3_tts.catalogue:rows",
    )
