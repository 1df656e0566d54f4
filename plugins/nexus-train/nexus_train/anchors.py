"""Which student layer stands for which of the teacher's: the same relative depth."""

from __future__ import annotations

from nexus_specs import Blueprint, Link, Profile
from nexus_torch.profiles import read_bases


def link(profile: Profile, student: Blueprint) -> Link:
    """The teacher's profile and the student, with the layers that should agree and their bases."""
    pairs = anchors(profile, student)
    bases = read_bases(profile) if pairs else {}
    return Link(profile=profile, student=student, anchors=pairs, bases={path: bases[path] for path, _ in pairs})


def anchors(profile: Profile, student: Blueprint) -> tuple[tuple[str, str], ...]:
    """(teacher path, student path) for the critical layers with a basis, or for all with one where none is critical.

    The student's layers are those of its last stack: the tower's own, or the core's where a tower has none.
    """
    known = [layer for layer in profile.layers if layer.path in profile.bases]
    critical = [layer for layer in known if layer.critical] or known
    if not student.stacks:
        return ()
    layers = student.stacks[-1].layers
    depths = [depth(profile.blueprint, layer.path) for layer in critical]
    return tuple(
        (layer.path, layers[counterpart(deep, len(layers))]) for layer, deep in zip(critical, depths, strict=True)
    )


def depth(blueprint: Blueprint, path: str) -> float:
    """How deep in its stack a layer ends: (0, 1]. What belongs to no stack counts as the end."""
    for stack in blueprint.stacks:
        if path in stack.layers:
            return (stack.layers.index(path) + 1) / stack.count
    return 1.0


def counterpart(relative: float, count: int) -> int:
    """The layer of `count` that ends nearest to a relative depth.

    >>> [counterpart((layer + 1) / 5, 4) for layer in range(5)]
    [0, 1, 1, 2, 3]
    """
    return min(count - 1, max(0, int(relative * count + 0.5) - 1))
