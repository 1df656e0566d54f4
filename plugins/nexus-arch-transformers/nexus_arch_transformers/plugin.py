"""What this distribution offers."""

from collections.abc import Iterator

from nexus_specs import ArchitectureComponent, hookimpl


@hookimpl
def nexus_architectures() -> Iterator[ArchitectureComponent]:
    """The loader."""
    yield ArchitectureComponent(
        name="transformers",
        target="nexus_arch_transformers.architecture:Transformers",
        summary="Hugging Face folders: config.json and safetensors, of any model type that transformers knows",
        catalogue="nexus_arch_transformers.catalogue:rows",
    )
