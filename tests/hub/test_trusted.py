"""`trust: owner/name@COMMIT`: the program of exactly that commit runs, from plan to release; no other ever does."""

import json

import pytest

PROGRAM = """
import os
from transformers import LlamaForCausalLM
from .configuration_tiny import TinyConfig
from .parts_tiny import DEPTH

with open(os.environ["RAN"], "a") as ran:
    ran.write("MARK\\n")

class TinyForCausalLM(LlamaForCausalLM):
    config_class = TinyConfig
"""
CONFIGURATION = """
from transformers import LlamaConfig

class TinyConfig(LlamaConfig):
    model_type = "acme_tiny"
"""


@pytest.fixture
def program(decoder):
    """A repository whose model is a program of four files, of which one notes that it ran."""

    def made(mark, seed=0):
        folder = decoder(mark, seed)
        told = json.loads((folder / "config.json").read_text())
        mapped = {
            "AutoConfig": "configuration_tiny.TinyConfig",
            "AutoModelForCausalLM": "modeling_tiny.TinyForCausalLM",
        }
        told |= {"model_type": "acme_tiny", "architectures": ["TinyForCausalLM"], "auto_map": mapped}
        (folder / "config.json").write_text(json.dumps(told))
        (folder / "modeling_tiny.py").write_text(PROGRAM.replace("MARK", mark))
        (folder / "configuration_tiny.py").write_text(CONFIGURATION)
        (folder / "parts_tiny.py").write_text("from .deep_tiny import DEPTH\n")
        (folder / "deep_tiny.py").write_text("DEPTH = 1\n")
        return folder

    return made


def test_nothing_runs_before_it_is_trusted_and_then_that_commit_alone(person, hub, program, sentences):
    commit = hub.add("acme/tiny", program("one"))
    hub.add("acme/words", sentences("words"), kind="dataset")
    person.writes()
    for words, code in ((["plan"], 2), (["inspect", "acme/tiny"], 1)):
        said = person.types(*words, code=code)
        assert f"trust: acme/tiny@{commit}" in said
        assert f"/acme/tiny/tree/{commit}" in said
    assert not person.ran
    assert not [name for name in hub.served if name.endswith(".py")]
    person.writes(trust=f"acme/tiny@{commit}")
    assert person.plans()["fetch"][0]["source"] == f"acme/tiny@{commit}"
    assert person.ran == {"one"}


@pytest.mark.slow
def test_a_release_says_what_was_trusted_and_another_commit_never_runs(person, hub, program, sentences):
    commit = hub.add("acme/tiny", program("one"))
    hub.add("acme/words", sentences("words"), kind="dataset")
    person.writes(trust=f"acme/tiny@{commit}")
    assert f"acme/tiny at {commit[:12]}" in person.types("plan")
    person.types("run")
    told = person.manifest["teachers"]["tiny"]
    assert told["trust"] == f"acme/tiny@{commit}"
    assert told["source"] == f"acme/tiny@{commit}"
    assert told["head"] == "TinyForCausalLM"
    assert commit in (person.run / "release" / "README.md").read_text()
    assert "Verified." in person.types("verify")
    later = hub.add("acme/tiny", program("two", seed=1))
    assert "0 units to run" in person.types("run")
    assert person.ran == {"one"}
    for card, message in (
        ({"trust": f"acme/tiny@{'0' * 40}"}, "has no revision '0000"),
        ({"trust": "acme/tiny@main"}, "A branch can change under you"),
        ({"trust": f"acme/other@{commit}"}, "is for 'acme/other', but the source is 'acme/tiny'"),
        ({"trust": f"acme/tiny@{commit}", "source": f"acme/tiny@{later}"}, f"but the revision is '{later}'"),
        ({}, f"trust: acme/tiny@{later}"),
    ):
        person.writes(**card)
        said = person.types("plan", code=2)
        assert "registry.yaml:" in said
        assert message in said
        person.types("run", code=2)
    assert person.ran == {"one"}
    person.writes(trust=f"acme/tiny@{later}")
    person.types("run")
    assert person.ran == {"one", "two"}
    assert person.manifest["teachers"]["tiny"]["trust"] == f"acme/tiny@{later}"


@pytest.mark.slow
def test_a_folder_names_no_commit_to_trust(person, hub, program, sentences):
    hub.add("acme/words", sentences("words"), kind="dataset")
    folder = program("here")
    person.writes(source=str(folder))
    assert "never run from a folder, which names no commit" in person.types("plan", code=2)
    person.writes(source=str(folder), trust=f"acme/tiny@{'0' * 40}")
    assert "Code of another repository is never run" in person.types("plan", code=2)
    assert not person.ran
