"""What a pipeline tells its denoiser of a timestep: t itself, t / 1000, 1 - t / 1000, an angle's share, ...

Each pipeline of diffusers works it out in its call, between `for t in timesteps` and the denoiser, in a few lines of
its own. A denoiser that is opened alone is told the same: those lines of diffusers' source, and no others, are worked
out for one t.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from .schedule import Schedule

SHAPING = frozenset({"expand", "repeat", "reshape", "to", "unsqueeze", "view"})
"""Methods that leave a number what it is; of how many samples and in what precision a loop does not say."""


NOTHING = torch.zeros(1, 1, 1, 1, 1)
"""Of what is not known, where nothing of it is taken."""


class Clock:
    """From a timestep of the scheduler to what a denoiser is told."""

    def __init__(
        self, pipeline: type[Any], component: str, argument: str, schedule: Schedule, index: Mapping[str, Any],
        config: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """`index`: the settings of the pipeline; `config`: those of the denoiser."""
        self.loop = _loop(pipeline, component, argument)
        self.schedule, self.component = schedule, component
        self.config = _Absent(**index)
        self.model = _Absent(config=_Absent(**config), dtype=torch.float32)

    @property
    def sense(self) -> int:
        """-1 where the pipeline turns the sign of what the denoiser predicts, else 1."""
        turned = [each for each in self.loop.lines if isinstance(each, ast.Assign)
                  and isinstance(each.value, ast.UnaryOp) and isinstance(each.value.op, ast.USub)]  # fmt: skip
        return -1 if any(_targets(each) == _names(each.value) for each in turned) else 1    # x = -x, no c = -t

    def __call__(self, timestep: float) -> float:
        """The same number where nothing can be worked out."""
        if self.loop.told is None:
            return timestep
        owner = _Absent(scheduler=self.schedule.at(timestep), config=self.config, **{self.component: self.model})
        one = torch.zeros(1, 1, 1, 1)
        names: dict[str, Any] = {
            "torch": torch, "self": owner, "t": torch.tensor(timestep), "latents": one, "latent_model_input": one,
            "batch_size": 1, "device": torch.device("cpu"), "i": 0, "num_train_timesteps": self.schedule.train,
        }  # fmt: skip
        names = {**self.loop.defaults, **names}
        for line in self.loop.needed:
            with contextlib.suppress(Exception):            # a line that asks for more than a timestep
                _work_out(line, names)
        try:
            found = _worth(self.loop.told, names)
        except Exception:
            return timestep
        return float(found.flatten()[0]) if isinstance(found, Tensor) and found.numel() else timestep


class _Absent(SimpleNamespace):
    """Names that are known; of others, nothing."""

    def __getattr__(self, name: str) -> Any:
        return None


def _work_out(line: ast.stmt, names: dict[str, Any]) -> None:
    """Runs an assignment, or the branch of an `if` that is taken."""
    if isinstance(line, ast.If):
        taken = line.body if _worth(line.test, names) else line.orelse
        for each in taken:
            with contextlib.suppress(Exception):
                _work_out(each, names)
    elif isinstance(line, (ast.Assign, ast.AugAssign)):
        names |= {name: NOTHING for mask in _masks(line) - names.keys() for name in (mask, *_beside(line, mask, names))}
        try:
            _run(line, names)
        except Exception:
            _run(_Bare().visit(copy.deepcopy(line)), names)


def _masks(line: ast.stmt) -> set[str]:
    """What a line blends by: m of `m * a + (1 - m) * b`. Where it is not known, no frame is given as a condition."""
    return {
        each.right.id for each in ast.walk(line)
        if isinstance(each, ast.BinOp) and isinstance(each.op, ast.Sub) and isinstance(each.right, ast.Name)
        and isinstance(each.left, ast.Constant) and each.left.value == 1
    }  # fmt: skip


def _beside(line: ast.stmt, mask: str, names: Mapping[str, Any]) -> set[str]:
    """What such a mask takes, where that is not known either: a of `m * a`."""
    return {
        each.right.id for each in ast.walk(line)
        if isinstance(each, ast.BinOp) and isinstance(each.op, ast.Mult) and isinstance(each.right, ast.Name)
        and isinstance(each.left, ast.Name) and each.left.id == mask and each.right.id not in names
    }  # fmt: skip


def _run(line: ast.stmt, names: dict[str, Any]) -> None:
    exec(compile(ast.Module([line], []), "<call>", "exec"), {}, names)  # noqa: S102 - the library's own source


def _worth(node: ast.expr, names: dict[str, Any]) -> Any:
    return eval(compile(ast.Expression(node), "<call>", "eval"), {}, names)  # noqa: S307 - the library's own source


class _Bare(ast.NodeTransformer):
    """Takes calls off that change a tensor's shape or precision alone."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """What it is called on, of such a call."""
        self.generic_visit(node)
        return node.func.value if isinstance(node.func, ast.Attribute) and node.func.attr in SHAPING else node


@dataclass(frozen=True)
class _Loop:
    """The lines of a pipeline's loop: all that stand alone, those that make what its denoiser is told, and that."""

    lines: tuple[ast.stmt, ...] = ()
    needed: tuple[ast.stmt, ...] = ()
    told: ast.expr | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Numbers that the call has unless somebody says others."""


@cache
def _loop(pipeline: type[Any], component: str, argument: str) -> _Loop:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(pipeline.__call__))))
    except (OSError, TypeError, SyntaxError):
        return _Loop()
    for loop in (each for each in ast.walk(tree) if isinstance(each, ast.For) and "t" in _names(each.target)):
        told = next(_asked(loop, component, argument), None)
        if told is None:
            continue
        wanted, lines, needed = _names(told), tuple(_flat(loop.body)), list[ast.stmt]()
        for line in reversed(lines):
            if _targets(line) & wanted and line.lineno < told.lineno:
                needed.append(line)
                wanted |= _names(line)
        return _Loop(lines, tuple(reversed(needed)), told, _defaults(pipeline))
    return _Loop()


def _defaults(pipeline: type[Any]) -> dict[str, Any]:
    known = inspect.signature(pipeline.__call__).parameters
    return {name: each.default for name, each in known.items() if isinstance(each.default, (int, float))}


def _asked(loop: ast.For, component: str, argument: str) -> Iterator[ast.expr]:
    for call in (each for each in ast.walk(loop) if isinstance(each, ast.Call)):
        of = call.func
        if isinstance(of, ast.Attribute) and of.attr == component and isinstance(of.value, ast.Name):
            yield from (each.value for each in call.keywords if each.arg == argument)
            if len(call.args) > 1 and not any(each.arg == argument for each in call.keywords):
                yield call.args[1]


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements in order, those inside a `with` too."""
    for line in body:
        yield from _flat(line.body) if isinstance(line, ast.With) else (line,)


def _targets(line: ast.stmt) -> set[str]:
    return {each.id for each in ast.walk(line) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
