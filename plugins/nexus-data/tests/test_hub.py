"""Data sets of a hub: the catalogue, and the reader against a real server on this machine."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nexus_data.plugin as plugin
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from nexus_data.hub import catalogue
from nexus_data.hub.columns import Columns
from nexus_data.hub.reader import Hub
from nexus_specs import NexusError
from nexus_specs.testing import DatasetTests, ReaderTests
from nexus_specs.testing.hub import LocalHub
from nexus_torch import hub
from nexus_torch.hub import listing
from PIL import Image

SPLITS = ("train", "development", "held_out")
WANTED = {
    "gsm8k", "mmlu", "humaneval", "mbpp", "bbh", "aqua", "svamp", "bfcl", "librispeech", "fleurs", "common-voice",
    "flores-200", "wmt14", "tatoeba", "imagenet-1k", "coco-captions", "nlvr2", "vqav2", "mmmu", "kinetics-400",
    "ucf101", "ssv2", "msr-vtt", "voxceleb", "vctk", "libritts", "wikitext-2", "tinystories", "p3", "self-instruct",
    "oasst1", "the-stack-smol", "gaia", "cifar-100", "frames", "wmt24pp", "cifar-10", "xlam",
    "math-500", "humaneval-plus", "webwalkerqa", "hle", "pile-10k", "fineweb", "parti-prompts",
}  # fmt: skip
FIELDS = {"text", "prompt", "answer", "target", "original", "label", "choices", "tests", "entry_point", "image",
          "audio", "video", "answers", "source"}  # fmt: skip


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def words(name: str, count: int) -> list[dict[str, Any]]:
    return [
        {"question": f"{name} {at}?", "answer": f"{at}", "kind": at % 3, "choices": ["a", f"b{at}"],
         "translation": {"de": f"eins {at}", "en": f"one {at}"}}
        for at in range(count)
    ]  # fmt: skip


@pytest.fixture
def questions(server: LocalHub, tmp_path: Path) -> LocalHub:
    """A data set in the layout of the hub's own parquet copies, which needs no card."""
    home = tmp_path / "questions"
    table(home / "main" / "train" / "0000.parquet", words("t", 40))
    table(home / "main" / "train" / "0001.parquet", words("u", 40))
    table(home / "main" / "test" / "0000.parquet", words("v", 20))
    table(home / "socratic" / "train" / "0000.parquet", words("w", 5))
    server.add("acme/questions", home, kind="dataset")
    return server


COLUMNS = {"text": "{question}\n{answer}", "label": "kind"}


def served(server: LocalHub) -> dict[str, int]:
    return {name: size for name, size in server.served.items() if name.endswith(".parquet")}


def texts(reader: Hub, split: Any) -> list[str]:
    return [sample.fields["text"] for sample in reader.samples(split)]


class TestCatalogue(DatasetTests):
    plugin = plugin
    name = "hub"


class TestHub(ReaderTests):
    plugin = plugin
    name = "hub"

    @pytest.fixture(autouse=True)
    def on_a_hub(self, questions: LocalHub, tmp_path: Path) -> None:
        table(tmp_path / "other" / "main" / "train" / "0000.parquet", words("x", 60))
        questions.add("acme/other", tmp_path / "other", kind="dataset")

    def component(self) -> Hub:
        return Hub(id="acme/questions", config="main", columns=COLUMNS)

    def changed(self) -> Hub:
        return Hub(id="acme/other", config="main", columns=COLUMNS)


def test_the_catalogue_has_what_teachers_are_judged_and_taught_on() -> None:
    known = {row["name"]: row for row in catalogue.rows()}
    assert not WANTED - set(known)
    for name, row in known.items():
        assert hub.parse(f"hub:datasets/{row['id']}"), name
        assert set(row["options"]["splits"]) <= set(SPLITS), name
        assert set(row["columns"]) <= FIELDS, name
        assert row["tags"], name
        assert row["size"], name
        assert row["licence"], name
        assert row["licence"] not in ("other", "see its card"), name
        Columns(row["options"]["columns"], name).read()
        Hub(**row["options"])


def test_sizes_are_bytes_or_a_count_or_said_to_be_unknown() -> None:
    assert doctest.testmod(catalogue).failed == 0
    for name, card in catalogue.cards().items():
        assert card.get("bound", "at least") in ("at least", "at most"), name
        assert not (card["bytes"] and "rows" in card), name
        assert card["bytes"] or "bound" not in card, name
    assert not [row["name"] for row in catalogue.rows() if row["size"] == catalogue.UNKNOWN]
    assert catalogue.size({"bytes": 0}) == catalogue.UNKNOWN


def test_what_is_to_be_learned_from_is_open() -> None:
    """`--datasets reasoning` or `--datasets code` gives a teacher all that it can read: no set that is gated by its
    authors because nothing is to be trained on it."""
    for row in catalogue.rows():
        if row["gated"] and "transfer" not in row["tags"]:
            assert not {"reasoning", "code", "mathematics", "translation"} & set(row["tags"]), row["name"]


def test_a_licence_is_named_or_said_why_not() -> None:
    """Bare "unknown" helps nobody: who does not say it, or what of it is known."""
    for row in catalogue.rows():
        said = row["licence"]
        assert said not in ("unknown", "not known", "other"), row["name"]
        if said.startswith("unknown"):
            assert "as its card says" in said, row["name"]


def test_what_is_shown_alike_stays_in_one_part(server: LocalHub, tmp_path: Path) -> None:
    """The same question under two numbers, with two answers, is learned from or held out, never both."""
    rows = [{"question": f"q{at // 4}", "answer": str(at), "id": str(at), "page": f"p{at // 20}"} for at in range(200)]
    table(tmp_path / "twice" / "main" / "train" / "0000.parquet", rows)
    server.add("acme/twice", tmp_path / "twice", kind="dataset")
    shown = {"text": "{question} {answer} {id}", "prompt": "{question}", "answer": "answer"}
    for field, columns in (("prompt", shown), ("source", shown | {"source": "page"})):
        reader = Hub(id="acme/twice", config="main", columns=columns)
        parts = [{sample.fields[field] for sample in reader.samples(split)} for split in SPLITS]
        assert sum(map(len, parts)) == len(set.union(*parts)), field
    assert len({Hub(id="acme/twice", config="main", columns=shown).fingerprint(split) for split in SPLITS}) == 3


def test_parts_without_a_split_are_carved_out(questions: LocalHub) -> None:
    reader = Hub(id="acme/questions", config="main", columns=COLUMNS)
    found = {split: texts(reader, split) for split in SPLITS}
    assert found["held_out"] == [f"v {at}?\n{at}" for at in range(20)]
    both = [f"{name} {at}?\n{at}" for name in "tu" for at in range(40)]
    assert sorted(found["train"] + found["development"]) == sorted(both)
    assert 1 <= len(found["development"]) <= 20
    assert found["train"] == [text for text in both if text in set(found["train"])]


def test_one_split_is_divided_in_three(questions: LocalHub) -> None:
    reader = Hub(id="acme/questions", config="main", columns=COLUMNS, splits={"held_out": "train"})
    found = {split: texts(reader, split) for split in SPLITS}
    assert sum(map(len, found.values())) == 80
    assert len(found["train"]) > 48
    assert found["development"]
    assert found["held_out"]


def test_only_the_files_of_a_part_are_fetched_once(questions: LocalHub) -> None:
    reader = Hub(id="acme/questions", config="main", columns=COLUMNS)
    prints = [reader.fingerprint(split) for split in SPLITS]
    before = reader.origin()
    assert before is not None
    assert not served(questions)
    assert before.bytes == before.missing > 0
    for _ in range(2):
        assert texts(Hub(id="acme/questions", config="main", columns=COLUMNS), "held_out")
    assert list(served(questions)) == ["acme/questions/main/test/0000.parquet"]
    after = reader.origin()
    assert after is not None
    assert after.missing == before.bytes - sum(served(questions).values())
    assert prints == [reader.fingerprint(split) for split in SPLITS]


def test_a_commit_is_kept(questions: LocalHub, tmp_path: Path) -> None:
    first = Hub(id="acme/questions", config="main", columns=COLUMNS).origin()
    table(tmp_path / "questions" / "main" / "test" / "0000.parquet", words("new", 20))
    questions.add("acme/questions", tmp_path / "questions", kind="dataset")
    listing.forget()
    assert first is not None
    now = Hub(id="acme/questions", config="main", columns=COLUMNS)
    then = Hub(id="acme/questions", config="main", columns=COLUMNS, revision=first.commit)
    assert now.fingerprint("held_out") != then.fingerprint("held_out")
    assert now.fingerprint("train") == then.fingerprint("train")
    assert texts(now, "held_out")[0] == "new 0?\n0"


def test_several_sets_follow_one_another(questions: LocalHub) -> None:
    sets = ({"id": "acme/questions", "config": "main"}, {"id": "acme/questions", "config": "socratic"})
    reader = Hub(sets=[{**each, "columns": COLUMNS} for each in sets], limit=1000)
    train = texts(reader, "train")
    assert [text for text in train if text.startswith("w")]
    assert len(train) > 60
    origin = reader.origin()
    assert origin is not None
    assert origin.bytes > sum(served(questions).values())
    kept = Hub(sets=[{**each, "columns": COLUMNS} for each in sets], limit=1000, revision=origin.commit)
    assert [each.options.revision for each in kept.inner] == origin.commit.split("+")
    assert kept.fingerprint("train") == reader.fingerprint("train")
    with pytest.raises(NexusError, match="Name one data set"):
        Hub()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "acme/none"}, "neither a folder here nor a dataset on the hub"),
        ({"id": "acme/questions", "config": "mian"}, r"no configuration 'mian'\. Did you mean 'main'"),
        ({"id": "acme/questions"}, r"several configurations\. There: main, socratic"),
        ({"id": "acme/questions", "config": "main", "splits": {"train": "trian"}}, r"no split 'trian'\. Its splits"),
        ({"id": "acme/questions", "config": "main", "splits": {"test": "test"}}, "there is no part 'test'"),
        ({"id": "acme/questions", "config": "main", "columns": {"text": "body"}}, r"no column 'body'.*Its columns: q"),
        ({"id": "acme/questions", "config": "main", "columns": {"text": "{body}"}}, "no column 'body'"),
        ({"id": "acme/questions", "config": "main", "columns": {"text": "{answer.__class__}"}}, "no column"),
        ({"id": "acme/questions", "config": "main"}, "no text, messages, image, audio or video by name"),
        ({"id": "/etc/passwd"}, "no data set of the hub"),
    ],
)
def test_mistakes_are_said(questions: LocalHub, options: Mapping[str, Any], message: str) -> None:
    with pytest.raises(NexusError, match=message):
        list(Hub(**options).samples("train"))


def test_templates_join_columns() -> None:
    row = {"question": "Which?", "choices": ["a", "b"], "translation": {"de": "eins"}, "none": None}
    columns = {"text": "{question}\n{choices}", "prompt": "{translation[de]}", "answer": "none"}
    found = Columns(columns, "x")
    assert found.fields(row) == {"text": "Which?\na\nb", "prompt": "eins"}
    assert found.read() == ("question", "choices", "translation", "none")


def test_pictures_are_decoded(server: LocalHub, tmp_path: Path) -> None:
    rows = []
    for at in range(30):
        out = BytesIO()
        Image.fromarray(np.full((4, 5, 3), at, np.uint8)).save(out, "PNG")
        rows.append({"img": {"bytes": out.getvalue(), "path": None}, "fine": at})
    table(tmp_path / "pictures" / "default" / "train" / "0000.parquet", rows)
    server.add("acme/pictures", tmp_path / "pictures", kind="dataset")
    (sample, *_) = Hub(id="acme/pictures", columns={"image": "img", "label": "fine"}).samples("train")
    assert sample.fields["image"].shape == (4, 5, 3)


def test_several_pictures_of_a_row_are_a_list(server: LocalHub, tmp_path: Path) -> None:
    """As NLVR2 and conversations have them; two rows with other pictures have other keys."""

    def png(shade: int) -> dict[str, Any]:
        out = BytesIO()
        Image.fromarray(np.full((4, 5, 3), shade, np.uint8)).save(out, "PNG")
        return {"bytes": out.getvalue(), "path": None}

    rows = [{"images": [png(at), png(at + 100)], "question": "Alike?"} for at in range(30)]
    table(tmp_path / "pairs" / "default" / "train" / "0000.parquet", rows)
    server.add("acme/pairs", tmp_path / "pairs", kind="dataset")
    found = list(Hub(id="acme/pairs", columns={"image": "images", "text": "question"}).samples("train"))
    assert [int(each[0, 0, 0]) for each in found[0].fields["image"]] in [[at, at + 100] for at in range(30)]
    assert len({each.key for each in found}) == len(found) > 3


def test_offline_what_was_fetched_is_read(questions: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = texts(Hub(id="acme/questions", config="main", columns=COLUMNS), "held_out")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    listing.forget()
    assert texts(Hub(id="acme/questions", config="main", columns=COLUMNS), "held_out") == expected
    with pytest.raises(NexusError, match="HF_HUB_OFFLINE"):
        texts(Hub(id="acme/questions", config="main", columns=COLUMNS), "train")


CHILD = """
import json, sys
from nexus_data.hub.reader import Hub
reader, parts = Hub(**json.loads(sys.argv[1])), ("train", "held_out")
said = [reader.origin(), *(reader.origin((part,)) for part in parts)]
found = [[dict(sample.fields) for sample in reader.samples(part)] for part in parts]
counts = [[each.rows, each.missing] for each in [*said, Hub(**json.loads(sys.argv[1])).origin()]]
print(json.dumps([*found, counts], default=lambda array: array.tolist()))
"""


@pytest.fixture
def child(server: LocalHub, tmp_path: Path) -> Callable[..., Any]:
    """Reads in a process of its own: `datasets` looks at the environment when it is imported."""

    def run(**options: Any) -> Any:
        environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_DATASETS_CACHE": str(tmp_path / "made")}
        done = subprocess.run(
            [sys.executable, "-c", CHILD, json.dumps(options)],
            env=environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_a_card_says_which_files_are_which_split(server: LocalHub, tmp_path: Path, child: Callable[..., Any]) -> None:
    home = tmp_path / "carded"
    table(home / "any" / "one.parquet", words("one", 20))
    table(home / "any" / "two.parquet", words("two", 20))
    card = "---\nconfigs:\n- config_name: main\n  data_files:\n  - {split: train, path: any/one.parquet}\n"
    (home / "README.md").write_text(card + "  - {split: test, path: any/two.parquet}\n---\n# Words\n")
    server.add("acme/carded", home, kind="dataset")
    train, held_out, _ = child(id="acme/carded", config="main", columns=COLUMNS)
    assert {row["text"].split()[0] for row in train} == {"one"}
    assert {row["text"].split()[0] for row in held_out} == {"two"}
    assert served(server).keys() == {"acme/carded/any/one.parquet", "acme/carded/any/two.parquet"}


def test_other_formats_come_through_datasets(server: LocalHub, tmp_path: Path, child: Callable[..., Any]) -> None:
    home = tmp_path / "lines"
    home.mkdir()
    (home / "train.jsonl").write_text("".join(json.dumps({"text": f"line {at}"}) + "\n" for at in range(20)))
    (home / "test.jsonl").write_text("".join(json.dumps({"text": f"held {at}"}) + "\n" for at in range(5)))
    server.add("acme/lines", home, kind="dataset")
    train, held_out, counts = child(id="acme/lines")
    assert [rows for rows, _ in counts] == [0, 0, 0, 0], "nobody says"
    assert {row["text"] for row in train} < {f"line {at}" for at in range(20)}
    assert [row["text"] for row in held_out] == [f"held {at}" for at in range(5)]


def test_so_does_what_is_packed_with_zstd(server: LocalHub, tmp_path: Path, child: Callable[..., Any]) -> None:
    home = tmp_path / "packed"
    (home / "data").mkdir(parents=True)
    for split in ("train", "test"):
        packed = pyarrow.compress(lines(split, 20).encode(), codec="zstd", asbytes=True)
        (home / "data" / f"{split}-00000-of-00001.jsonl.zst").write_bytes(packed)
    server.add("acme/packed", home, kind="dataset")
    train, held_out, _ = child(id="acme/packed")
    assert {row["text"] for row in train} < {f"train {at}" for at in range(20)}
    assert [row["text"] for row in held_out] == [f"test {at}" for at in range(20)]


def lines(name: str, count: int) -> str:
    return "".join(json.dumps({"text": f"{name} {at}"}) + "\n" for at in range(count))


def test_of_other_formats_too_only_the_files_of_a_part_are_fetched(
    server: LocalHub, tmp_path: Path, child: Callable[..., Any]
) -> None:
    home = tmp_path / "many"
    home.mkdir()
    told = {"train": 20, "more": 10, "test": 5, "unused": 30}
    for split, count in told.items():
        (home / f"{split}.jsonl").write_text(lines(split, count))
    counts = "".join(f"  - {{name: {split}, num_examples: {count}, num_bytes: 1}}\n" for split, count in told.items())
    files = "".join(f"  - {{split: {split}, path: {split}.jsonl}}\n" for split in told)
    features = "  features:\n  - {name: text, dtype: string}\n"
    card = f"dataset_info:\n{features}  splits:\n{counts}configs:\n- config_name: default\n  data_files:\n{files}"
    (home / "README.md").write_text(f"---\n{card}---\n")
    server.add("acme/many", home, kind="dataset")
    options = {"id": "acme/many", "splits": {"train": "train+more", "held_out": "test"}}
    train, held_out, (whole, of_train, of_test, after) = child(**options)
    sizes = {split: (home / f"{split}.jsonl").stat().st_size for split in told}
    assert of_train == [30, sizes["train"] + sizes["more"]]
    assert of_test == [5, sizes["test"]]
    assert whole == [35, of_train[1] + of_test[1]]
    assert after == [35, 0]
    assert {row["text"].split()[0] for row in train} == {"train", "more"}
    assert [row["text"] for row in held_out] == [f"test {at}" for at in range(5)]
    with pytest.raises(NexusError, match=r"'acme/many' has no column 'words' \(in `columns`\)\. Its columns: text"):
        Hub(**options, columns={"text": "{words}"}).origin()    # known from the card, before anything is fetched
    fetched = {name.rpartition("/")[2] for name in server.served if name.endswith(".jsonl")}
    assert fetched == {"train.jsonl", "more.jsonl", "test.jsonl"}


def test_a_folder_of_pictures_keeps_its_labels(server: LocalHub, tmp_path: Path, child: Callable[..., Any]) -> None:
    for split, count in (("train", 6), ("test", 2)):
        for at in range(count):
            place = tmp_path / "seen" / split / ("cat" if at % 2 else "dog") / f"{at}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((3, 3, 3), at, np.uint8)).save(place)
    server.add("acme/seen", tmp_path / "seen", kind="dataset")
    train, held_out, _ = child(id="acme/seen", splits={"train": "train", "development": "train", "held_out": "test"})
    assert [row["label"] for row in held_out] == [0, 1]
    assert sorted(row["label"] for row in train) == [0, 0, 0, 1, 1, 1]


def test_a_fetch_that_was_broken_off_goes_on_where_it_was(questions: LocalHub, tmp_path: Path) -> None:
    place = tmp_path / "large" / "default" / "train" / "0000.parquet"
    table(place, [{"text": os.urandom(3000).hex()} for _ in range(40)])
    questions.add("acme/large", tmp_path / "large", kind="dataset")
    size, name = place.stat().st_size, "acme/large/default/train/0000.parquet"
    questions.drops, questions.drop_after = 50, 30_000
    with pytest.raises(NexusError, match="cannot be reached"):
        cut_off(Hub(id="acme/large"), questions, name, size // 2)
    kept = questions.served[name]
    assert 0 < kept < size
    questions.drops = 0
    listing.forget()
    assert len(texts(Hub(id="acme/large"), "train")) > 20
    assert questions.served[name] == size, "each byte once"


def cut_off(reader: Hub, server: LocalHub, name: str, most: int) -> None:
    """Reads until the server has given so many bytes, and from then on nothing."""

    def count(self: LocalHub, file: str, size: int) -> None:
        with self.lock:
            self.served[file] += size
            if file == name and self.served[file] >= most:
                self.drop_after = 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalHub, "count", count)
        list(reader.samples("train"))
    raise AssertionError(f"{name} came whole, with {server.served[name]} bytes")


def test_a_disk_that_is_too_small_is_said_before_the_first_byte(
    questions: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Hub(id="acme/questions", config="main", columns=COLUMNS)
    assert reader.fingerprint("train")
    small = SimpleNamespace(total=10**9, used=10**9 - 200_000_100, free=200_000_100)
    monkeypatch.setattr("nexus_torch.hub.fetching.shutil.disk_usage", lambda _: small)
    with pytest.raises(NexusError, match=r"'acme/questions' needs .* on the disk of .*, where 100 bytes may be used"):
        texts(reader, "train")
    assert not served(questions)
    monkeypatch.undo()


def test_the_commit_of_now_is_told_without_a_look_at_the_files(questions: LocalHub, tmp_path: Path) -> None:
    reader = Hub(id="acme/questions", config="main", columns=COLUMNS)
    commit = questions.repositories["dataset", "acme/questions"].branches["main"]
    assert reader.latest() == commit
    assert Hub(id=f"acme/questions@{'1' * 40}", config="main").latest() == "1" * 40
    assert Hub(sets=[{"id": "acme/questions"}, {"id": "acme/none"}]).latest() == "", "nobody can tell"
    assert not served(questions)
    assert not [each for each in questions.requests if "/tree/" in each]


def test_a_template_that_does_not_end_is_said() -> None:
    for column in ("{text", "text} {a", "{a!z"):
        with pytest.raises(NexusError, match="is no template"):
            Columns({"text": column}, "'acme/x'")


REFUSED = """
import sys
from nexus_data.hub.reader import Hub
from nexus_specs import NexusError
for name in sys.argv[1:]:
    try:
        list(Hub(id=f"acme/{name}").samples("train"))
    except NexusError as error:
        print(error)
"""


def test_what_is_no_data_set_is_said(server: LocalHub, tmp_path: Path) -> None:
    repositories = {
        "bare": {"README.md": "nothing"},
        "program": {"README.md": "x", "program.py": "raise SystemExit(9)"},
        "bad": {"train.jsonl": '{"text": "a"}\nnot json\n'},
    }
    for name, files in repositories.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
        server.add(f"acme/{name}", tmp_path / name, kind="dataset")
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_DATASETS_CACHE": str(tmp_path / "made")}
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, *repositories],
        env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    bare, program, bad = done.stdout.splitlines()
    assert "holds no files of data" in bare
    assert "holds a program instead of data" in program
    assert "JSON parse error" in bad
