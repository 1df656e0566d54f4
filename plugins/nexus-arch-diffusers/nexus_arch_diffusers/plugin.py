"""What this distribution offers."""

from collections.abc import Iterator

from nexus_specs import ArchitectureComponent, hookimpl


@hookimpl
def nexus_architectures() -> Iterator[ArchitectureComponent]:
    """The loader."""
    yield ArchitectureComponent(
        name="diffusers",
        target="nexus_arch_diffusers.architecture:Diffusers",
        summary="Diffusers folders: whole pipelines (model_index.json), or one transformer, U-Net or VAE",
        catalogue="nexus_arch_diffusers.catalogue:rows",
        requires=("diffusers>=0.35",),
    )
