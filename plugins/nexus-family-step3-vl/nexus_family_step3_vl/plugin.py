"""What this distribution offers."""

from collections.abc import Iterator

from nexus_specs import ArchitectureComponent, hookimpl


@hookimpl
def nexus_architectures() -> Iterator[ArchitectureComponent]:
    """The loader."""
    yield ArchitectureComponent(
        name="step3-vl",
        target="nexus_family_step3_vl.architecture:Step3VL",
        summary="Step3-VL (model type step_robotics): transformers' Step 3.7 image encoder before its Qwen3 decoder",
        catalogue="nexus_family_step3_vl.catalogue:rows",
    )
