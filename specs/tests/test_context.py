"""The kit's own context and sink."""

import pytest
from nexus_specs import Choice, NexusError, NotDeclared, Piece, Sample, StageComponent
from nexus_specs.testing import ListSink, LocalContext

STAGE = StageComponent(
    name="train", target="m:Train", summary="Trains", scope="tower", needs=("core",), uses=("student", "loss:label"),
    reads=("train",), fields=("share",),
)  # fmt: skip


def test_sink_keeps_the_last_value_of_a_key():
    sink = ListSink()
    sink.put(Piece(keys=("a", "b"), tap="logprob", values=[[1.0], [2.0]]))
    sink.put(Piece(keys=("a",), tap="logprob", values=[[3.0]]))
    sink.put(Piece(keys=("a",), tap="logprob", values=[[9.0]], edit="zero"))
    sink.flush()
    assert sink.value("a", "logprob") == [3.0]
    assert sink.values("logprob", "zero") == {"a": [9.0]}
    assert sink.flushed == 1


def test_context_gives_what_is_declared(tmp_path):
    sample = Sample(key="a", fields={"text": "a"})
    context = LocalContext(
        tmp_path,
        STAGE,
        subject="prose",
        made={"student": "maker", "loss:label": "loss"},
        named={"student": [Choice(kind="student", name="nexus")]},
        artefacts={"core": {"core": tmp_path}},
        data={"train": [sample], "train/code": []},
    )
    assert context.unit.name == "train/prose"
    assert context.chosen("student") == "maker"
    assert context.choices("student")[0].name == "nexus"
    assert context.make("loss", "label") == "loss"
    assert context.inputs("core") == {"core": tmp_path}
    assert list(context.samples("train")) == [sample]
    assert list(context.samples("train", "code")) == []
    with context.write("deep/file.json") as path:
        path.write_text("{}", encoding="utf-8")
    assert (tmp_path / "artefact" / "deep" / "file.json").is_file()


@pytest.mark.parametrize(
    "ask",
    [
        lambda context: context.chosen("engine"),
        lambda context: context.make("loss", "forward_kl"),
        lambda context: context.open("somewhere"),
        lambda context: context.inspect("somewhere"),
        lambda context: context.inputs("extract"),
        lambda context: context.samples("held_out"),
    ],
)
def test_context_refuses_what_is_not_declared(ask, tmp_path):
    with pytest.raises(NotDeclared, match="which its descriptor does not name"):
        ask(LocalContext(tmp_path, STAGE))


def test_without_a_descriptor_nothing_is_locked(tmp_path):
    context = LocalContext(tmp_path)
    assert list(context.samples("held_out")) == []
    assert set(context.components("executor")) == set(context.lookup.components("executor"))
    for ask in (context.open, context.inspect):
        with pytest.raises(NexusError, match="No loader opens"):
            ask("no-such-source")


def test_report_asks_for_a_pause_when_told(tmp_path):
    context = LocalContext(tmp_path, pause_after=2)
    assert [context.report(step, 3, loss=1.0) for step in (1, 2)] == [True, False]
    assert context.reports[0] == (1, 3, {"loss": 1.0})
    assert LocalContext(tmp_path).report(1, 1) is True
