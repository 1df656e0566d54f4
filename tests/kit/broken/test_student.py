"""A small good student, and broken ones that the kit rejects with advice."""

import itertools
import json

import pytest
import torch
from nexus_specs import Profile, Sample, Signal, content_key
from nexus_specs.testing import StudentTests, blueprint
from safetensors.torch import load_file, save_file

WIDTH = 32


class Body(torch.nn.Module):
    """An embedding, two layers, a head, and a tower beside the last layer."""

    def __init__(self, tower=False):
        super().__init__()
        self.embedding = torch.nn.Embedding(128, WIDTH)
        self.model = torch.nn.Module()
        self.model.layers = torch.nn.ModuleList(torch.nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.tower = torch.nn.Linear(WIDTH, WIDTH) if tower else None
        self.head = torch.nn.Linear(WIDTH, 128)


class Student:
    """The body, or the body with one tower."""

    blueprint = blueprint()

    def __init__(self, module, prefix=""):
        self.module, self.prefix = module, prefix
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(name.startswith(prefix))

    def trainable(self):
        return [(name, value) for name, value in self.module.named_parameters() if name.startswith(self.prefix)]

    def collate(self, samples):
        texts = [[0, *sample.fields["text"].encode()] for sample in samples]
        longest = max(map(len, texts))
        tokens = torch.tensor([text + [1] * (longest - len(text)) for text in texts])
        return {"tokens": tokens, "mask": tokens != 1}

    def forward(self, batch, taps=()):
        hidden, states = self.module.embedding(batch["tokens"]), {}
        for index, layer in enumerate(self.module.model.layers):
            hidden = hidden + torch.tanh(layer(hidden))
            states[f"model.layers.{index}"] = hidden
        if self.module.tower is not None:
            hidden = hidden + self.module.tower(hidden)
        wanted = {tap.path: states[tap.path] for tap in taps}
        return Signal(hidden=hidden, head=self.module.head, tokens=batch["tokens"], mask=batch["mask"], states=wanted)

    def save(self, folder):
        save_file(dict(self.trainable()), folder / "weights.safetensors")
        (folder / "config.json").write_text(json.dumps({"width": WIDTH}), encoding="utf-8")


class Good:
    """Makes them."""

    student = Student

    def propose(self, teachers, budget, tier):
        return {"width": WIDTH * tier}

    def size(self):
        return WIDTH * WIDTH

    def create(self, profiles):
        body = Body()
        return {profile.teacher: self.student(body) for profile in profiles}

    def load(self, core, tower, profiles, *, name, component):
        body = Body(tower=True)
        body.load_state_dict(load_file(core / "weights.safetensors"), strict=False)
        return self.student(body, "tower")


class ListProposal(Good):
    def propose(self, teachers, budget, tier):
        return ["width", WIDTH]


class NoSize(Good):
    def size(self):
        return None


class TensorProposal(Good):
    def propose(self, teachers, budget, tier):
        return {"width": torch.tensor(WIDTH)}


class CreatesAlone(Good):
    def create(self, profiles):
        return super().create(profiles) or {"core": self.student(Body())}


class OneTeacher(Good):
    def create(self, profiles):
        return super().create(profiles[:1])


class TwoBodies(Good):
    def create(self, profiles):
        return {profile.teacher: self.student(Body()) for profile in profiles}


class NamesTwice(Good):
    class student(Student):
        def trainable(self):
            return [("weight", value) for _, value in super().trainable()]


class AllFrozen(Good):
    class student(Student):
        def __init__(self, module, prefix=""):
            super().__init__(module, prefix)
            module.requires_grad_(False)


class LooseCore(Good):
    class student(Student):
        def __init__(self, module, prefix=""):
            super().__init__(module, prefix)
            module.requires_grad_(True)


class DictSignal(Good):
    class student(Student):
        def forward(self, batch, taps=()):
            return {"hidden": super().forward(batch, taps).hidden}


class EmptySignal(Good):
    class student(Student):
        def forward(self, batch, taps=()):
            return Signal(tokens=batch["tokens"])


class OneRow(Good):
    class student(Student):
        def forward(self, batch, taps=()):
            found = super().forward(batch, taps)
            return Signal(hidden=found.hidden[:1], head=found.head, tokens=found.tokens[:1], mask=found.mask[:1])


class NoMask(Good):
    class student(Student):
        def forward(self, batch, taps=()):
            found = super().forward(batch, taps)
            return Signal(hidden=found.hidden, head=found.head, tokens=found.tokens, states=found.states)


class NoHead(Good):
    class student(Student):
        def forward(self, batch, taps=()):
            found = super().forward(batch, taps)
            return Signal(hidden=found.hidden, mask=found.mask, tokens=found.tokens, states=found.states)


class IgnoresTaps(Good):
    class student(Student):
        def forward(self, batch, taps=()):
            return super().forward(batch)


class NotFinite(Good):
    class student(Student):
        def forward(self, batch, taps=()):
            found = super().forward(batch, taps)
            return Signal(
                hidden=found.hidden / 0, head=found.head, mask=found.mask, tokens=found.tokens, states=found.states
            )


class TowerAside(Good):
    class student(Student):
        def forward(self, batch, taps=()):
            tower, self.module.tower = self.module.tower, None
            found = super().forward(batch, taps)
            self.module.tower = tower
            hidden = found.hidden if tower is None else found.hidden + 0 * tower(found.hidden)
            return Signal(hidden=hidden, head=found.head, mask=found.mask, tokens=found.tokens, states=found.states)


class RandomCollate(Good):
    class student(Student):
        def collate(self, samples):
            return {**super().collate(samples), "noise": torch.rand(len(samples))}


class SavesNothing(Good):
    class student(Student):
        def save(self, folder):
            pass


class SavesCounter(Good):
    class student(Student):
        saved = itertools.count()

        def save(self, folder):
            super().save(folder)
            (folder / "config.json").write_text(str(next(self.saved)), encoding="utf-8")


class SavesPickle(Good):
    class student(Student):
        def save(self, folder):
            super().save(folder)
            (folder / "optimizer.pt").write_bytes(b"pickle")


class WritesCore(Good):
    def load(self, core, tower, profiles, *, name, component):
        (core / "tower.json").write_text(name, encoding="utf-8")
        return super().load(core, tower, profiles, name=name, component=component)


class MovesCore(Good):
    class student(Student):
        def forward(self, batch, taps=()):
            if self.module.tower is not None:
                self.module.head.weight.data += 0.5
            return super().forward(batch, taps)


BROKEN = [
    (ListProposal, "Return a mapping of plain options"),
    (NoSize, "the plan counts with it"),
    (TensorProposal, "Return a mapping of plain options"),
    (CreatesAlone, "Return {} without profiles"),
    (OneTeacher, "Return one for each core teacher"),
    (TwoBodies, "Let all core teachers train one body"),
    (NamesTwice, "Name each parameter once"),
    (AllFrozen, "Call `requires_grad_()` on it"),
    (LooseCore, "Freeze it: the core is frozen before any tower"),
    (DictSignal, "Return a nexus_specs.Signal"),
    (EmptySignal, "has neither `hidden` nor outputs['output']"),
    (OneRow, "Give one for each, in their order"),
    (NoMask, "Give [B, T, D], [B, T] and [B, T]"),
    (NoHead, "Give the function from [N, D] to [N, V]"),
    (IgnoresTaps, "Put what a tap asks for into `states`"),
    (NotFinite, "values that are not finite"),
    (TowerAside, "Let the tower take part in the forward"),
    (RandomCollate, "Draw nothing at random"),
    (SavesNothing, "Write what was trained into the folder"),
    (SavesCounter, "write no time and no path"),
    (SavesPickle, "Write safetensors and JSON"),
    (WritesCore, "write in `save` alone"),
    (MovesCore, "Freeze all that is not the tower's"),
]


def made(suite, component):
    profiles = [Profile(teacher=name, capability=name, blueprint=blueprint(), layers=()) for name in ("prose", "code")]
    fields = [{"text": text} for text in ("hi", "a longer text", "three")]
    samples = [Sample(key=content_key(each), fields=each) for each in fields]
    return suite(
        StudentTests,
        component,
        profiles=lambda self: profiles,
        samples=lambda self: samples,
        tower=lambda self: ("text", object(), profiles[:1]),
    )


def test_good_student_is_accepted(suite, accepted):
    accepted(made(suite, Good))


@pytest.mark.parametrize(("component", "advice"), BROKEN)
def test_broken_student_is_rejected(component, advice, suite, rejected):
    rejected(made(suite, component), advice)
