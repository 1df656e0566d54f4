"""A good loader of a small format, and broken ones that the kit rejects with advice."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from nexus_specs import Blueprint, Extent, Part, Sample, Stack, content_key
from nexus_specs.testing import ArchitectureTests
from nexus_specs.testing.catalogue import check_catalogue
from safetensors.torch import save_file

WIDTH, LAYERS, WORDS = 192, 2, 16


class Toy(torch.nn.Module):
    """Embedding, linear layers, head."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(WORDS, WIDTH)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(LAYERS))
        self.head = torch.nn.Linear(WIDTH, WORDS, bias=False)


def header(source):
    """Offset of the data and the entries of a safetensors file."""
    with Path(source, "model.safetensors").open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        return 8 + length, json.loads(stream.read(length))


class Checkpoint:
    """Names and ranges of one checkpoint."""

    def __init__(self, source):
        self.source = source
        self.blueprint = blueprint_of(source)
        self.parts = self.find_parts()

    def find_parts(self):
        return tuple(self.part(path) for path in ("embedding", "head", "layers.0", "layers.1"))

    def part(self, path):
        return Part(path=path, extents=(self.extent(f"{path}.weight"),))

    def extent(self, key):
        offset, entries = header(self.source)
        entry = entries[key]
        start, stop = (offset + value for value in entry["data_offsets"])
        file = str(Path(self.source, "model.safetensors"))
        shape = tuple(entry["shape"])
        return Extent(key=key, file=file, start=start, stop=stop, dtype=entry["dtype"], shape=shape)

    def skeleton(self):
        with torch.device("meta"):
            return Toy()

    def assemble(self, part, raw):
        return dict(raw)

    def collate(self, samples):
        rows = [list(sample.fields["text"].encode()[:4].ljust(4)) for sample in samples]
        return {"tokens": torch.tensor(rows) % WORDS}


def blueprint_of(source):
    size = WIDTH * WIDTH * 4
    stack = Stack(path="layers", count=LAYERS, widths=(WIDTH,) * LAYERS, layer_bytes=(size,) * LAYERS)
    count = LAYERS * WIDTH * WIDTH + 2 * WORDS * WIDTH
    return Blueprint(
        family="toy", head="Toy", takes=("text",), gives=("text",), stacks=(stack,),
        parameters=count, active_parameters=count, bytes=4 * count, dtype="float32",
    )  # fmt: skip


class Good:
    """Opens folders with a toy.json."""

    checkpoint = Checkpoint

    def match(self, source):
        return 2 if source and Path(source, "toy.json").is_file() else 0

    def inspect(self, source):
        return blueprint_of(source)

    def open(self, source, lookup):
        return self.checkpoint(source)


class ClaimsAll(Good):
    def match(self, source):
        return 1


class RaisesOnForeign(Good):
    def match(self, source):
        return json.loads(Path(source, "toy.json").read_text())["version"]


class ClaimsNothing(Good):
    def match(self, source):
        return 0


class BooleanMatch(Good):
    def match(self, source):
        return 7 * super().match(source)


class DictBlueprint(Good):
    def inspect(self, source):
        return dataclasses.asdict(blueprint_of(source))


class ListBlueprint(Good):
    def inspect(self, source):
        return dataclasses.replace(blueprint_of(source), takes=["text"])


class SaysNothing(Good):
    def inspect(self, source):
        return dataclasses.replace(blueprint_of(source), gives=())


class NoStack(Good):
    def inspect(self, source):
        return dataclasses.replace(blueprint_of(source), stacks=())


class NoCount(Good):
    def inspect(self, source):
        return dataclasses.replace(blueprint_of(source), parameters=0)


class UnevenStack(Good):
    def inspect(self, source):
        (stack,) = blueprint_of(source).stacks
        return dataclasses.replace(blueprint_of(source), stacks=(dataclasses.replace(stack, widths=(WIDTH,)),))


class Disagrees(Good):
    def inspect(self, source):
        return dataclasses.replace(blueprint_of(source), context=512)


class ReadsWeights(Good):
    def inspect(self, source):
        Path(source, "model.safetensors").read_bytes()
        return blueprint_of(source)


class LooksAtWeights(Good):
    def inspect(self, source):
        last = Path(source, "model.safetensors").read_bytes()[-1]
        return dataclasses.replace(blueprint_of(source), quantisation="odd" if last == 255 else "")


class LostPart(Good):
    class checkpoint(Checkpoint):
        def find_parts(self):
            return super().find_parts()[1:]


class SharedPart(Good):
    class checkpoint(Checkpoint):
        def find_parts(self):
            return (*super().find_parts(), dataclasses.replace(self.part("head"), path="tail"))


class TwicePart(Good):
    class checkpoint(Checkpoint):
        def find_parts(self):
            return (*super().find_parts(), self.part("head"))


class DisorderedParts(Good):
    class checkpoint(Checkpoint):
        def find_parts(self):
            return super().find_parts()[::-1]


class ForgetsHeader(Good):
    class checkpoint(Checkpoint):
        def extent(self, key):
            offset, found = header(self.source)[0], super().extent(key)
            return dataclasses.replace(found, start=found.start - offset, stop=found.stop - offset)


class BeyondFile(Good):
    class checkpoint(Checkpoint):
        def extent(self, key):
            return dataclasses.replace(super().extent(key), stop=1 << 40)


class WrongShape(Good):
    class checkpoint(Checkpoint):
        def extent(self, key):
            return dataclasses.replace(super().extent(key), dtype="F16")


class Resident(Good):
    class checkpoint(Checkpoint):
        def skeleton(self):
            return Toy()


class OtherLayers(Good):
    class checkpoint(Checkpoint):
        def skeleton(self):
            module = super().skeleton()
            module.blocks = module.layers
            del module.layers
            return module


class MoreParameters(Good):
    class checkpoint(Checkpoint):
        def skeleton(self):
            module = super().skeleton()
            module.extra = torch.nn.Parameter(torch.empty(3, device="meta"))
            return module


class Transposes(Good):
    class checkpoint(Checkpoint):
        def assemble(self, part, raw):
            return {name: tensor.t() for name, tensor in raw.items()}


class ShortNames(Good):
    class checkpoint(Checkpoint):
        def assemble(self, part, raw):
            return {"weight": next(iter(raw.values()))}


class RandomCollate(Good):
    class checkpoint(Checkpoint):
        def collate(self, samples):
            return {"tokens": torch.rand(len(samples), 4)}


class FlatCollate(Good):
    class checkpoint(Checkpoint):
        def collate(self, samples):
            return {"tokens": super().collate(samples)["tokens"].flatten()}


BROKEN = [
    (ClaimsAll, "Return 0: it is not yours"),
    (RaisesOnForeign, "Return 0 for what is not yours"),
    (ClaimsNothing, "Return 1 (such files in general) or 2"),
    (BooleanMatch, "Return 1 (such files in general) or 2"),
    (DictBlueprint, "Return a nexus_specs.Blueprint"),
    (ListBlueprint, "Give tuples and plain str and int"),
    (SaysNothing, "Name modalities"),
    (NoStack, "List the repeated layers"),
    (NoCount, "Count them from the headers"),
    (UnevenStack, "Give a width and bytes for each"),
    (Disagrees, "Make it in one function that both call"),
    (ReadsWeights, "Read the headers of weight files"),
    (LooksAtWeights, "Read configuration and headers alone"),
    (LostPart, "Let the parts cover the whole model"),
    (SharedPart, "Give each tensor to one part"),
    (TwicePart, "Make one of them"),
    (DisorderedParts, "in the order in which the forward visits them"),
    (ForgetsHeader, "Add the header (8 bytes and its length)"),
    (BeyondFile, "check them against the file's size"),
    (WrongShape, "from one header entry"),
    (Resident, "Build it under `torch.device('meta')`"),
    (OtherLayers, "Give stacks the module paths of the skeleton"),
    (MoreParameters, "Count a tied one once"),
    (Transposes, "Convert (transpose, split, fuse)"),
    (ShortNames, "Give full parameter names"),
    (RandomCollate, "Draw nothing at random"),
    (FlatCollate, "Give one row for each sample"),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    torch.manual_seed(0)
    save_file(Toy().state_dict(), folder / "model.safetensors")
    (folder / "toy.json").write_text('{"version": 2}', encoding="utf-8")
    return str(folder)


def made(suite, component, source):
    fields = [{"text": word} for word in ("one", "three", "eleven")]
    samples = [Sample(key=content_key(each), fields=each) for each in fields]
    return suite(ArchitectureTests, component, sources=lambda self: [source], samples=lambda self: samples)


def test_good_loader_is_accepted(source, suite, accepted):
    accepted(made(suite, Good, source))


@pytest.mark.parametrize(("component", "advice"), BROKEN)
def test_broken_loader_is_rejected(component, advice, source, suite, rejected):
    rejected(made(suite, component, source), advice)


ROWS = [
    (["a row"], "Return mappings"),
    ([{"name": "x", "heads": {1}}], "Use str, int, float, bool, list"),
    ([{"heads": ["X"]}], "Give 'name'"),
    ([{"name": "x", "modalities": "text"}], "Give a list of words"),
    ([{"name": "x", "generates": True}], "Give 'modalities'"),
    ([{"name": "x", "heads": ["X"], "streams": "yes"}], "else 'untested'"),
]


@pytest.mark.parametrize(("rows", "advice"), ROWS, ids=[advice for _, advice in ROWS])
def test_a_broken_catalogue_is_rejected(rows, advice):
    with pytest.raises(AssertionError, match=advice):
        check_catalogue(rows)
    check_catalogue([{"name": "x", "modalities": ["text"], "heads": ["X"], "streams": "verified"}])


def test_the_rows_of_a_catalogue_are_checked(suite):
    tests = suite(ArchitectureTests, Good, {"catalogue": "toy:rows"})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("nexus_specs.testing.architecture.resolve", lambda target: lambda: ["a row"])
        with pytest.raises(AssertionError, match="Return mappings"):
            tests().test_rows_of_its_catalogue_say_how_it_is_found()
