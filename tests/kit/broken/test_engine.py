"""A small good engine, and broken ones that the kit rejects with advice."""

import dataclasses
from contextlib import contextmanager

import pytest
import torch
from nexus_specs import Estimate, Machine, NotResident, Piece, Sample, Signal, content_key
from nexus_specs.testing import EngineTests, blueprint

WIDTH = 32


class Toy(torch.nn.Module):
    """Embedding, two layers that mix real tokens, head."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(128, WIDTH)
        self.model = torch.nn.Module()
        self.model.layers = torch.nn.ModuleList(torch.nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.head = torch.nn.Linear(WIDTH, 128)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, tokens, mask):
        hidden = self.embedding(tokens)
        for layer in self.model.layers:
            mean = (hidden * mask[..., None]).sum(1, keepdim=True) / mask.sum(1)[:, None, None]
            hidden = hidden + torch.tanh(layer(self.drop(hidden) + mean))
        return self.head(hidden).log_softmax(-1)


class Checkpoint:
    """Bytes as tokens."""

    blueprint = blueprint()

    def __init__(self):
        torch.manual_seed(0)
        self.module = Toy()

    def collate(self, samples):
        texts = [[0, *sample.fields["text"].encode()] for sample in samples]
        longest = max(map(len, texts))
        tokens = torch.tensor([text + [1] * (longest - len(text)) for text in texts])
        mask = torch.tensor([[True] * len(text) + [False] * (longest - len(text)) for text in texts])
        return {"tokens": tokens, "mask": mask}

    def read(self, output, batch):
        observed = output[:, :-1].gather(-1, batch["tokens"][:, 1:, None])[..., 0]
        return Signal(mask=batch["mask"], outputs={"logprob": observed})


class Teacher:
    """Runs batch by batch, once intact and once for each edit."""

    blueprint = Checkpoint.blueprint

    def __init__(self, checkpoint, size):
        self.checkpoint, self.size, self.module = checkpoint, size, checkpoint.module.eval()

    def observe(self, samples, taps, sink, edits=()):
        samples = list(samples)
        batches = [samples[start : start + self.size] for start in range(0, len(samples), self.size)]
        for edit in (None, *edits):
            for batch in batches:
                self.pass_through(batch, taps, sink, edit, edits)
        sink.flush()

    @torch.no_grad()
    def pass_through(self, samples, taps, sink, edit, edits):
        batch = self.checkpoint.collate(samples)
        states = {}

        def hook(path):
            def run(module, inputs, output):
                for each in edits if edit is None else ():
                    if path in each.modules:
                        each.seen(path, inputs[0], output, batch["mask"])
                states[path] = self.edited(edit, path, inputs, output)
                return states[path]

            return run

        handles = [
            self.module.get_submodule(path).register_forward_hook(hook(path))
            for path in self.blueprint.largest_stack.layers
        ]
        signal = self.checkpoint.read(self.module(**batch), batch)
        for handle in handles:
            handle.remove()
        for tap in taps:
            values = states[tap.path] if tap.path in states else signal.outputs[tap.path]
            self.put(sink, samples, tap.path, values, batch["mask"], edit.name if edit else "")

    def edited(self, edit, path, inputs, output):
        return edit.apply(path, inputs, output) if edit and path in edit.modules else output

    def put(self, sink, samples, tap, values, mask, edit):
        lengths = mask.sum(1) - int(tap == "logprob")
        cut = [value[:length] for value, length in zip(values, lengths, strict=True)]
        sink.put(Piece(keys=tuple(sample.key for sample in samples), tap=tap, values=cut, edit=edit))

    def generate(self, samples):
        return ["" for _ in samples]


class Good:
    """Resident."""

    teacher = Teacher

    def machine(self, folder):
        return Machine(
            processor="any", cores=1, device="cpu", memory=1 << 30, device_memory=0, bfloat16=False, gigaflops=10.0
        )

    def estimate(self, blueprint, samples, edits, budget):
        return Estimate(seconds=0.001 * samples, read=blueprint.bytes, passes=1, how="resident: it fits")

    def place(self, blueprint, budget, tokens=0.0):
        quantise = "" if budget.quantise == "auto" else budget.quantise
        return dataclasses.replace(budget, quantise=quantise, micro_batch=budget.micro_batch or 4)

    @contextmanager
    def load(self, checkpoint, budget):
        yield self.teacher(checkpoint, budget.micro_batch)


class LeavesOpen(Good):
    def place(self, blueprint, budget, tokens=0.0):
        return budget


class PlacesNothing(Good):
    def place(self, blueprint, budget, tokens=0.0):
        return None


class KnowsBetter(Good):
    def place(self, blueprint, budget, tokens=0.0):
        return dataclasses.replace(budget, quantise="", micro_batch=1)


class DictMachine(Good):
    def machine(self, folder):
        return dataclasses.asdict(super().machine(folder))


class UnmeasuredMachine(Good):
    def machine(self, folder):
        return dataclasses.replace(super().machine(folder), gigaflops=0.0)


class OddDevice(Good):
    def machine(self, folder):
        return dataclasses.replace(super().machine(folder), device="abacus")


class NumberEstimate(Good):
    def estimate(self, blueprint, samples, edits, budget):
        return 3.0


class EndlessEstimate(Good):
    def estimate(self, blueprint, samples, edits, budget):
        return Estimate(seconds=float("inf"), how="resident")


class ShrinkingEstimate(Good):
    def estimate(self, blueprint, samples, edits, budget):
        return Estimate(seconds=1 / samples, how="resident")


class SilentEstimate(Good):
    def estimate(self, blueprint, samples, edits, budget):
        return Estimate(seconds=samples)


class Padded(Good):
    class teacher(Teacher):
        def put(self, sink, samples, tap, values, mask, edit):
            super().put(sink, samples, tap, values, torch.ones_like(mask), edit)


class LosesLastBatch(Good):
    class teacher(Teacher):
        def pass_through(self, samples, taps, sink, edit, edits):
            if len(samples) == self.size:
                super().pass_through(samples, taps, sink, edit, edits)


class NeverFlushes(Good):
    class teacher(Teacher):
        def observe(self, samples, taps, sink, edits=()):
            sink.flush = lambda: None
            super().observe(samples, taps, sink, edits)


class SwapsKeys(Good):
    class teacher(Teacher):
        def put(self, sink, samples, tap, values, mask, edit):
            super().put(sink, samples[::-1], tap, values, mask, edit)


class IgnoresMask(Good):
    class teacher(Teacher):
        def pass_through(self, samples, taps, sink, edit, edits):
            self.checkpoint.collate = lambda samples: self.unmasked(samples)
            super().pass_through(samples, taps, sink, edit, edits)

        def unmasked(self, samples):
            batch = Checkpoint.collate(self.checkpoint, samples)
            self.real = batch["mask"]
            return {**batch, "mask": torch.ones_like(batch["mask"])}

        def put(self, sink, samples, tap, values, mask, edit):
            super().put(sink, samples, tap, values, self.real, edit)


class Dropout(Good):
    class teacher(Teacher):
        def __init__(self, checkpoint, size):
            super().__init__(checkpoint, size)
            self.module.train()


class NotFinite(Good):
    class teacher(Teacher):
        def put(self, sink, samples, tap, values, mask, edit):
            super().put(sink, samples, tap, values / 0, mask, edit)


class IgnoresEdits(Good):
    class teacher(Teacher):
        def edited(self, edit, path, inputs, output):
            if edit and path in edit.modules:
                edit.apply(path, inputs, output)
            return output


class DropsEdits(Good):
    class teacher(Teacher):
        def observe(self, samples, taps, sink, edits=()):
            super().observe(samples, taps, sink)


class EditsDouble(Good):
    class teacher(Teacher):
        def edited(self, edit, path, inputs, output):
            return 2 * edit.apply(path, inputs, output) if edit and path in edit.modules else output


class EditsEverything(Good):
    class teacher(Teacher):
        def edited(self, edit, path, inputs, output):
            return edit.apply(path, inputs, output) if edit else output


class AppliesEarly(Good):
    class teacher(Teacher):
        def observe(self, samples, taps, sink, edits=()):
            for sample in samples:
                super().observe([sample], taps, sink, edits)


class GeneratesStreamed(Good):
    class teacher(Teacher):
        def observe(self, samples, taps, sink, edits=()):
            self.module = self.checkpoint.module
            super().observe(samples, taps, sink, edits)
            self.module = None

        def __init__(self, checkpoint, size):
            super().__init__(checkpoint, size)
            self.module = None


class RefusesToGenerate(Good):
    class teacher(Teacher):
        def generate(self, samples):
            raise NotResident("It is streamed.")


class OneAnswer(Good):
    class teacher(Teacher):
        def generate(self, samples):
            return []


BROKEN = [
    (DictMachine, "Return a nexus_specs.Machine"),
    (UnmeasuredMachine, "Measure them"),
    (OddDevice, "Allowed: cpu, cuda"),
    (NumberEstimate, "Return a nexus_specs.Estimate"),
    (EndlessEstimate, "Guard divisions by a rate"),
    (ShrinkingEstimate, "Let the estimate grow"),
    (SilentEstimate, "Name the residency and why"),
    (PlacesNothing, "Return the Budget, settled"),
    (LeavesOpen, "Settle both"),
    (KnowsBetter, "Keep the micro-batch"),
    (Padded, "Cut the padding off"),
    (LosesLastBatch, "the last, smaller batch too"),
    (NeverFlushes, "Call `sink.flush()` at the end"),
    (SwapsKeys, "match values and keys within the batch"),
    (IgnoresMask, "Pass the attention mask"),
    (Dropout, "Call `eval()`"),
    (NotFinite, "is not finite"),
    (IgnoresEdits, "Let what follows see what `apply` returns"),
    (DropsEdits, "with `edit=edit.name`"),
    (EditsDouble, "Put in its place exactly what `apply` returns"),
    (EditsEverything, "Edit the one module"),
    (AppliesEarly, "Pass every intact batch through a module before any edit"),
    (GeneratesStreamed, "Raise NotResident"),
    (RefusesToGenerate, "Let it generate"),
    (OneAnswer, "gave 0 answers for 1 samples"),
]


def made(suite, component):
    fields = [{"text": text} for text in ("hi", "a longer text", "three")]
    samples = [Sample(key=content_key(each), fields=each) for each in fields]
    return suite(EngineTests, component, checkpoint=lambda self: Checkpoint(), samples=lambda self: samples)


def test_good_engine_is_accepted(suite, accepted):
    accepted(made(suite, Good))


@pytest.mark.parametrize(("component", "advice"), BROKEN)
def test_broken_engine_is_rejected(component, advice, suite, rejected):
    rejected(made(suite, component), advice)
