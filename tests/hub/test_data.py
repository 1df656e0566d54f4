"""Data sets of a hub from the command line to a run: named by a card or a flag, planned, fetched in parts, read."""

import time

import pyarrow
import pyarrow.parquet
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def sums(hub, decoder, tmp_path):
    """A teacher, and what the catalogue calls gsm8k, in the layout of the real one."""
    hub.add("acme/tiny", decoder("tiny"))
    for split, count in (("train", 60), ("test", 20)):
        rows = [
            {"question": f"What is {at} and {at}?", "answer": f"It is {2 * at}. #### {2 * at}"} for at in range(count)
        ]
        place = tmp_path / "sums" / "main" / split / "0000.parquet"
        place.parent.mkdir(parents=True)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), place)
    hub.add("openai/gsm8k", tmp_path / "sums", kind="dataset")
    return {split: (tmp_path / "sums" / "main" / split / "0000.parquet").stat().st_size for split in ("train", "test")}


def fetched(hub):
    return {name.split("/")[3]: size for name, size in hub.served.items() if name.endswith(".parquet")}


def of(plan):
    (found,) = (each for each in plan["fetch"] if each["what"] == "data")
    return found


def test_a_card_names_a_set_of_the_catalogue_and_a_run_reads_it(person, hub, sums):
    person.writes(data=None, datasets=["gsm8k"])
    for words in ((), ("--datasets", "gsm8k"), ("--datasets", "openai/gsm8k"), ("--datasets", "reasoning")):
        found = of(person.plans(*words))
        assert found["source"].startswith("datasets/openai/gsm8k@")
        assert found["missing"] == found["bytes"] == sum(sums.values())
    assert not fetched(hub), "a plan fetches nothing"
    assert of(person.plans("--stage", "profile"))["missing"] == sums["train"]
    person.types("run", "--stage", "profile")
    assert fetched(hub) == {"train": sums["train"]}
    assert of(person.plans())["missing"] == sums["test"]
    person.types("run")
    assert fetched(hub) == sums
    (capability,) = person.manifest["capabilities"]
    assert capability["data"]["options"]["id"] == "openai/gsm8k"
    assert capability["data"]["options"]["revision"] == of(person.plans())["source"].partition("@")[2]
    assert of(person.plans())["missing"] == 0
    assert "0 units to run" in person.types("run", HF_HUB_OFFLINE="1")


def test_what_cannot_be_had_is_said_with_its_place(person, hub, sums, sentences):
    hub.add("acme/closed", sentences("closed"), kind="dataset", gated=True)
    hub.add("acme/words", sentences("words", "b"), kind="dataset")
    for card, words, message in (
        (
            {"datasets": ["gsm8q"], "data": None},
            (),
            "teachers.tiny.datasets.0: 'gsm8q' is in no catalogue. Did you mean",
        ),
        ({"data": "gsm8q"}, (), "teachers.tiny.data: 'gsm8q' is neither among the data nor in a catalogue. Did you"),
        (
            {"data": "gaia"},
            (),
            "teachers.tiny.datasets: the data 'gaia' cannot be read: 'gaia-benchmark/GAIA' is neither",
        ),
        ({}, ("--datasets", "gsm8q"), "no data has the name or tag 'gsm8q'. Did you mean 'gsm8k'"),
        ({}, ("--datasets", "vision"), "'vision' means imagenet-1k, cifar-10, "),
    ):
        person.writes(**card)
        assert message in person.types("plan", *words, code=2)
    text = (person.folder / "registry.yaml").read_text()
    for id, environment, message in (
        ("acme/closed", {}, "'acme/closed' is gated: its owner asks for agreement first"),
        ("acme/word", {}, "Did you mean 'acme/words'"),
        ("acme/closed", {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE forbids asking the hub"),
        ("acme/closed", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot be reached"),
    ):
        (person.folder / "registry.yaml").write_text(text.replace("acme/words", id))
        said = person.types("plan", code=2, **environment)
        assert message in said
        assert "data.words: cannot be read: " in said
    assert "to fetch" in person.types("plan", HF_TOKEN=hub.token)
    assert not fetched(hub)


def test_a_run_that_was_killed_while_it_fetched_goes_on_there(person, hub, decoder, tmp_path):
    hub.add("acme/tiny", decoder("tiny"))
    place = tmp_path / "large" / "default" / "train" / "0000.parquet"
    place.parent.mkdir(parents=True)
    rows = [{"text": f"{at} " + " ".join(str(at * each) for each in range(400))} for at in range(1500)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), place, compression="none")
    hub.add("acme/words", tmp_path / "large", kind="dataset")
    person.writes()
    name, size = "acme/words/default/train/0000.parquet", place.stat().st_size
    counted = hub.count

    def count(served: str, bytes: int) -> None:
        """Half of it comes, and then nothing for a day."""
        counted(served, bytes)
        if served == name and hub.served[name] >= size // 2:
            hub.rate = 1.0

    hub.count = count
    blobs = person.folder / ".hub" / "hub-cache" / "datasets--acme--words" / "blobs"
    process = person.start("run", "--stage", "profile", "--sample-size", "20")
    while not any(part.stat().st_size for part in blobs.glob("*.part")) and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    came, kept = hub.served[name], sum(part.stat().st_size for part in blobs.glob("*.part"))
    assert 0 < kept <= came < size, "killed in the middle"
    hub.count, hub.rate = counted, 0.0
    person.types("run", "--stage", "profile", "--sample-size", "20")
    assert hub.served[name] <= came + size - kept, "what lay on the disk is not fetched again"
