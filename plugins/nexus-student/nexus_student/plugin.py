"""What nexus-student offers."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import ArchitectureComponent, Component, StageComponent, StudentComponent, hookimpl

OPTIONS = "nexus_student.options"


@hookimpl
def nexus_students() -> Iterable[StudentComponent]:
    """The student."""
    yield StudentComponent(
        name="nexus",
        target="nexus_student.maker:NexusMaker",
        summary="A frozen causal core, LoRA towers for text and gated cross-attention towers for what is perceived",
        options=f"{OPTIONS}:StudentOptions",
        takes=("text",),
    )


@hookimpl
def nexus_architectures() -> Iterable[ArchitectureComponent]:
    """A student opens as a checkpoint like any other."""
    yield ArchitectureComponent(
        name="nexus",
        target="nexus_student.architecture:NexusArchitecture",
        summary="Releases and assembled students; FOLDER#TOWER forces a tower, CORE+TOWER joins two artefacts",
        catalogue="nexus_student.catalogue:rows",
    )


@hookimpl
def nexus_stages() -> Iterable[StageComponent]:
    """What puts a student together."""
    yield StageComponent(
        name="route",
        target="nexus_student.stages.route:Route",
        summary="Learns the router's row of a text tower from that tower's own data",
        scope="tower",
        reads=("train",),
    )
    yield StageComponent(
        name="assemble",
        target="nexus_student.stages.assemble:Assemble",
        summary="Puts core, towers and router together as one model",
        scope="student",
        needs=("profile", "core", "train", "route"),
    )
    yield StageComponent(
        name="release",
        target="nexus_student.stages.release:Release",
        summary="Checks the contract and writes the release with its manifest and model card",
        options=f"{OPTIONS}:ReleaseOptions",
        scope="student",
        needs=("assemble", "evaluate"),
        fields=("share", "tier", "source", "revision", "trust", "licence", "summary", "datasets"),
        publishes="release",
    )


@hookimpl
def nexus_commands() -> Iterable[Component]:
    """What one does with a release."""
    yield Component(
        name="chat",
        target="nexus_student.commands.chat:Chat",
        summary="Asks a release, with a text, an image, a sound or a film; without any it converses",
        options=f"{OPTIONS}:ChatOptions",
    )
    yield Component(
        name="tower",
        target="nexus_student.commands.tower:TowerCommand",
        summary="Adds a tower to a release, removes one, or lists them",
        options=f"{OPTIONS}:TowerOptions",
    )
