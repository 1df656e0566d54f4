"""What this distribution offers."""

from collections.abc import Iterator

from nexus_specs import ArchitectureComponent, hookimpl


@hookimpl
def nexus_architectures() -> Iterator[ArchitectureComponent]:
    """The loader."""
    yield ArchitectureComponent(
        name="peft",
        target="nexus_arch_peft.architecture:Peft",
        summary="PEFT adapter folders: LoRA, DoRA, AdaLoRA, IA3, LoHa, LoKr on top of their base, merged part by part",
    )
