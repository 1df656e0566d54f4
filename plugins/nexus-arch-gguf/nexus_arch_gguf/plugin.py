"""What this distribution offers."""

from collections.abc import Iterator

from nexus_specs import ArchitectureComponent, hookimpl


@hookimpl
def nexus_architectures() -> Iterator[ArchitectureComponent]:
    """The loader."""
    yield ArchitectureComponent(
        name="gguf",
        target="nexus_arch_gguf.architecture:Gguf",
        summary="GGUF files: weights, configuration and tokenizer from one file, dequantised one layer at a time",
        catalogue="nexus_arch_gguf.catalogue:rows",
    )
