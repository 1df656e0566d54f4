"""Checks of students: a core that its teachers share, frozen under towers that train and are saved apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..data import Sample
from ..models import Blueprint, Budget
from ..observation import Signal, Tap
from ..students import Student, StudentMaker, Tower
from ..teachers import Profile
from .base import ComponentTests
from .blueprints import blueprint
from .values import finite, flat, is_json, is_tensor, same, same_batch, shape


def check_proposal(maker: StudentMaker, teachers: Sequence[Blueprint], budget: Budget) -> Mapping[str, Any]:
    """Options for a core, which JSON keeps, for every tier."""
    for tier in (1, 2, 3):
        options = maker.propose(teachers, budget, tier)
        assert isinstance(options, Mapping) and is_json(dict(options)), (
            f"`propose` gave {options!r} for tier {tier}. Return a mapping of plain options: it is written into the "
            f"registry."
        )
    return maker.propose(teachers, budget, 1)


def check_size(maker: StudentMaker) -> None:
    """A number of parameters, from the options alone."""
    size = maker.size()
    assert isinstance(size, int) and size > 0, (
        f"`size` gave {size!r}. Return how many parameters a new core has, its words left out: the plan counts with it."
    )


def check_nothing_to_create(maker: StudentMaker) -> None:
    """Without core teachers there is nothing to train."""
    assert maker.create(()) == {}, "`create(())` gave students. Return {} without profiles: there is no core teacher."


def check_create(maker: StudentMaker, profiles: Sequence[Profile]) -> Mapping[str, Student]:
    """One student for each core teacher, one body for all."""
    import torch

    torch.manual_seed(0)
    students = maker.create(profiles)
    expected = {profile.teacher for profile in profiles}
    assert set(students) == expected, (
        f"`create` gave students for {sorted(students)}. Return one for each core teacher: {sorted(expected)}."
    )
    bodies = [{id(value) for _, value in student.trainable()} for student in students.values()]
    assert len(bodies) < 2 or set.intersection(*bodies), (
        "The students share no parameter. Let all core teachers train one body: it becomes the one core."
    )
    return students


def check_trainable(student: Student, beside: Iterable[Student] = ()) -> None:
    """Names once, parameters that want a gradient, and nothing else wants one but what those `beside` it train."""
    named = list(student.trainable())
    names = [name for name, _ in named]
    assert named and len(set(names)) == len(names), (
        f"`trainable` gave {len(names)} names, {len(set(names))} of them different. Name each parameter once."
    )
    still = [name for name, parameter in named if not parameter.requires_grad]
    assert not still, f"'{still[:1]}' is trainable but wants no gradient. Call `requires_grad_()` on it."
    mine = {id(parameter) for each in (student, *beside) for _, parameter in each.trainable()}
    loose = [name for name, value in student.module.named_parameters() if value.requires_grad and id(value) not in mine]
    assert not loose, (
        f"'{loose[:1]}' wants a gradient but is not in `trainable`. Freeze it: the core is frozen before any tower."
    )


def check_forward(student: Student, samples: Sequence[Sample], taps: Sequence[Tap] = ()) -> Signal:
    """A signal with one row for each sample, and a gradient for what is trained."""
    batch = student.collate(samples)
    changed = same_batch(batch, student.collate(samples))
    assert not changed, f"`collate` gave other {', '.join(changed)} the second time. Draw nothing at random in it."
    signal = student.forward(batch, taps)
    assert isinstance(signal, Signal), f"`forward` gave a {type(signal).__name__}. Return a nexus_specs.Signal."
    assert signal.hidden is not None or "output" in signal.outputs, (
        "The signal has neither `hidden` nor outputs['output']. Give the final state (and `head`), or the class values."
    )
    value = signal.hidden if signal.hidden is not None else signal.outputs["output"]
    assert shape(value)[0] == len(samples), (
        f"The signal has {shape(value)[0]} rows for {len(samples)} samples. Give one for each, in their order."
    )
    if signal.hidden is not None:
        _check_text(signal)
    missing = [tap.path for tap in taps if tap.path not in signal.states]
    assert not missing, f"The signal has no state '{missing[:1]}'. Put what a tap asks for into `states`, by its path."
    _check_gradient(student, value)
    return signal


def _check_text(signal: Signal) -> None:
    assert shape(signal.hidden)[:2] == shape(signal.mask) == shape(signal.tokens), (
        f"hidden, mask and tokens have shapes {shape(signal.hidden)}, {shape(signal.mask)}, {shape(signal.tokens)}. "
        f"Give [B, T, D], [B, T] and [B, T]."
    )
    assert signal.head is not None, "The signal has `hidden` but no `head`. Give the function from [N, D] to [N, V]."


def _check_gradient(student: Student, value: Any) -> None:
    assert finite(value), "`forward` gave values that are not finite. Check the initial scale and the mask."
    student.module.zero_grad()
    value.float().square().sum().backward()
    grads = [parameter.grad for _, parameter in student.trainable() if is_tensor(parameter.grad)]
    student.module.zero_grad()
    assert any(any(number != 0.0 for number in flat(grad)) for grad in grads), (
        "No gradient reaches what `trainable` names. Let the tower take part in the forward from the first step."
    )


def digests(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file."""
    return {
        str(file.relative_to(folder)): sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def check_save(student: Student, folder: Path) -> None:
    """Files, the same bytes each time, none of them a pickle."""
    places = [folder / "one", folder / "two"]
    for place in places:
        place.mkdir(parents=True)
        student.save(place)
    one, other = (digests(place) for place in places)
    assert one, "`save` wrote nothing. Write what was trained into the folder."
    assert one == other, (
        f"`save` wrote other bytes the second time: {sorted(name for name in one if one[name] != other.get(name))}. "
        f"Sort keys, and write no time and no path."
    )
    pickled = [name for name in one if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
    assert not pickled, f"`save` wrote {pickled}, which runs code when it is opened. Write safetensors and JSON."


def check_load(
    maker: StudentMaker, core: Path, made: tuple[str, Tower, Sequence[Profile]], samples: Sequence[Sample]
) -> Student:
    """A tower on the frozen core: training it leaves every byte of the core as it was."""
    import torch

    component, tower, profiles = made
    torch.manual_seed(0)
    before = digests(core)
    student = maker.load(core, tower, profiles, name="probe", component=component)
    check_trainable(student)
    mine = {id(parameter) for _, parameter in student.trainable()}
    others = [(name, value) for name, value in student.module.named_parameters() if id(value) not in mine]
    frozen = {name: value.detach().clone() for name, value in others}
    check_forward(student, samples)
    signal = student.forward(student.collate(samples))
    value = signal.hidden if signal.hidden is not None else signal.outputs["output"]
    value.float().square().mean().backward()
    torch.optim.SGD([parameter for _, parameter in student.trainable()], lr=0.1).step()
    moved = [name for name, value in others if not same(value, frozen[name])]
    assert not moved, f"A training step moved '{moved[:1]}' of the core. Freeze all that is not the tower's."
    assert digests(core) == before, "`load` changed files of the core. Read them; write in `save` alone."
    return student


class StudentTests(ComponentTests):
    """A maker of students, on small profiles."""

    kind = "student"

    def profiles(self) -> Sequence[Profile]:
        """Profiles of core teachers."""
        raise NotImplementedError("Give `profiles()`: of one or two small core teachers.")

    def samples(self) -> Sequence[Sample]:
        """What the core takes."""
        raise NotImplementedError("Give `samples()`: a few that the core takes.")

    def tower(self) -> tuple[str, Tower, Sequence[Profile]]:
        """Component name, tower and profiles of a tower that takes what the core takes."""
        raise NotImplementedError("Give `tower()`: (component name, a Tower, profiles of its teachers).")

    def budget(self) -> Budget:
        """Four gigabytes."""
        return Budget(memory=1 << 32, scratch=self.folder)

    def students(self) -> Mapping[str, Student]:
        """A new core."""
        return check_create(self.component(), self.profiles())

    def core(self) -> Path:
        """A new core, saved."""
        folder = self.folder / "core"
        folder.mkdir(exist_ok=True)
        next(iter(self.students().values())).save(folder)
        return folder

    def test_it_knows_its_size(self) -> None:
        check_size(self.component())

    def test_it_proposes_a_core(self) -> None:
        teachers = [profile.blueprint for profile in self.profiles()]
        check_proposal(self.component(), teachers or [blueprint()], self.budget())

    def test_nothing_is_created_without_teachers(self) -> None:
        check_nothing_to_create(self.component())

    def test_core_teachers_share_one_body(self) -> None:
        students = self.students()
        for student in students.values():
            check_trainable(student, students.values())

    def test_core_gives_signals(self) -> None:
        for student in self.students().values():
            check_forward(student, self.samples(), [Tap(path=student.blueprint.largest_stack.layers[0])])

    def test_saving_is_deterministic(self) -> None:
        check_save(next(iter(self.students().values())), self.folder)

    def test_tower_trains_on_a_frozen_core(self) -> None:
        check_load(self.component(), self.core(), self.tower(), self.samples())

    def test_tower_is_saved_apart(self) -> None:
        student = check_load(self.component(), self.core(), self.tower(), self.samples())
        check_save(student, self.folder / "tower")
