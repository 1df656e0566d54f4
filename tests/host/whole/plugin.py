"""A plugin that offers something of every kind."""

from nexus_specs import (
    ArchitectureComponent,
    Component,
    DatasetComponent,
    LossComponent,
    MetricComponent,
    ReaderComponent,
    RegistryComponent,
    StageComponent,
    StudentComponent,
    TowerComponent,
    hookimpl,
)


@hookimpl
def nexus_architectures():
    yield ArchitectureComponent(
        name="boxes", target="whole_parts:Boxes", summary="Opens boxes", catalogue="whole_parts:boxes"
    )


@hookimpl
def nexus_engines():
    yield Component(name="sli", target="whole_parts:Engine", summary="Runs", options="whole_parts:EngineOptions")


@hookimpl
def nexus_profilers():
    yield Component(name="niwt", target="whole_parts:Anything", summary="Profiles")


@hookimpl
def nexus_readers():
    yield ReaderComponent(
        name="lines",
        target="whole_parts:Lines",
        summary="Reads lines",
        options="whole_parts:ReaderOptions",
        suffixes=(".txt",),
    )


@hookimpl
def nexus_metrics():
    yield MetricComponent(name="bits", target="whole_parts:Anything", summary="Bits", higher_is_better=False)
    yield MetricComponent(
        name="accuracy", target="whole_parts:Anything", summary="Right answers", options="whole_parts:MetricOptions"
    )


@hookimpl
def nexus_losses():
    yield LossComponent(
        name="kl", target="whole_parts:Anything", summary="KL", options="whole_parts:LossOptions", records=("logits",)
    )
    yield LossComponent(name="anchor", target="whole_parts:Anything", summary="Anchor", records=("states",))


@hookimpl
def nexus_towers():
    yield TowerComponent(
        name="text",
        target="whole_parts:Anything",
        summary="Text",
        takes=("text",),
        gives=("text",),
        metric="bits",
        options="whole_parts:TowerOptions",
    )
    yield TowerComponent(
        name="image",
        target="whole_parts:Anything",
        summary="Images",
        takes=("image",),
        gives=("label",),
        metric="accuracy",
    )


@hookimpl
def nexus_students():
    yield StudentComponent(
        name="nexus", target="whole_parts:Maker", summary="Core and towers", options="whole_parts:StudentOptions"
    )


@hookimpl
def nexus_stages():
    yield StageComponent(
        name="profile",
        target="whole_parts:Stage",
        summary="Profiles",
        scope="teacher",
        options="whole_parts:ProfileOptions",
    )
    yield StageComponent(
        name="train",
        target="whole_parts:Stage",
        summary="Trains",
        scope="tower",
        needs=("profile",),
        options="whole_parts:TrainOptions",
    )
    yield StageComponent(
        name="control",
        target="whole_parts:Stage",
        summary="Controls",
        scope="tower",
        inherits="train",
        options="whole_parts:ControlOptions",
    )
    yield StageComponent(
        name="release",
        target="whole_parts:Stage",
        summary="Releases",
        scope="student",
        options="whole_parts:ReleaseOptions",
    )


@hookimpl
def nexus_commands():
    yield Component(name="greet", target="whole_parts:Greet", summary="Greets", options="whole_parts:GreetOptions")


@hookimpl
def nexus_registries():
    yield RegistryComponent(name="starter", target="whole_home:registry.yaml", summary="The default")


@hookimpl
def nexus_datasets():
    yield DatasetComponent(name="cards", target="whole_parts:cards", summary="Cards")
