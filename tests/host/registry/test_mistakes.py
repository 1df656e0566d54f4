"""Every mistake of a registry, all at once, each with file, line, column, field, and what is meant."""

from pathlib import Path

import pytest

from nexus_host.registry import Override, Registry, RegistryError

BAD = """\
version: 1
teachers:
  prose:
    sorce: ./x
    tower: prosa
    status: redy
    share: 1e-4
    data: prose
    aliases: [code, twin]
    metric: {name: bitz}
    components: {engine: slo, profiler: {name: niwt, options: {x: 1}}}
    stages: {profile: {samples: few}, train: {}, profle: {}}
  code: {source: x, tower: prose, data: prose, share: 2, metric: "mod:Cls", aliases: twin}
  code: {source: y}
  "a b": {source: y}
  bare: {source: y, parameters: a few}
towers:
  prose: {component: text, optons: {}, options: {rank: 0, vocabulary: owne}, stages: {train: {steps: 0}}}
student: {tier: nine, core_teachers: [prose, kode], options: {layers: x}}
losses:
  - {name: kl, weight: -1, teachers: [on]}
  - 7
  - {weight: 2}
  - {name: ank, options: {x: 1}}
data:
  prose: {reader: lins, options: {}}
run: {seed: 3.5, workers: soon, memory: 8 gx, stages: {trian: {steps: x}}, threads: 1, components: {engin: x}, seeed: 1}
"""
EXPECTED = """\
--set run.devise=1: run.devise: unknown field. Did you mean 'device'?
bad.yaml:3:3: teachers.prose.source: is missing: A folder, a package: resource or a hub id
bad.yaml:4:5: teachers.prose.sorce: unknown field. Did you mean 'source'? Allowed: source, tower,
bad.yaml:5:5: teachers.prose.tower: 'prosa' is not among the towers. Did you mean 'prose'? There: prose.
bad.yaml:6:5: teachers.prose.status: is 'redy'; allowed: ready, available, disabled. Did you mean 'ready'?
bad.yaml:9:15: teachers.prose.aliases.0: 'code' is already the id of the teacher 'code'
bad.yaml:10:14: teachers.prose.metric.name: No metric is named 'bitz'. Did you mean 'bits'? Available: accuracy, bits.
bad.yaml:11:18: teachers.prose.components.engine.name: No engine is named 'slo'. Did you mean 'sli'?
bad.yaml:11:64: teachers.prose.components.profiler.options.x: unknown option. Allowed: none.
bad.yaml:12:24: teachers.prose.stages.profile.samples: is 'few'; it is a whole number
bad.yaml:12:39: teachers.prose.stages.train: works on a tower, not here; write it under a tower's stages
bad.yaml:12:50: teachers.prose.stages.profle: No stage is named 'profle'. Did you mean 'profile'?
bad.yaml:13:48: teachers.code.share: is 2; write at most 1
bad.yaml:13:58: teachers.code.metric: 'mod:Cls' is a path to code; write the name of a component
bad.yaml:13:77: teachers.code.aliases.0: 'twin' is already an alias of the teacher 'prose'
bad.yaml:14:3: teachers.code: is written twice; first in line 13
bad.yaml:15:3: teachers.a b: 'a b' is no id; use letters, digits
bad.yaml:16:3: teachers.bare.tower: is missing; a ready teacher names an entry of towers
bad.yaml:16:21: teachers.bare.parameters: 'a few' is no number of parameters; write one, as in
bad.yaml:16:3: teachers.bare.data: is missing; a ready teacher names an entry of data
bad.yaml:18:28: towers.prose.optons: unknown field. Did you mean 'options'? Allowed: component, options, stages.
bad.yaml:18:50: towers.prose.options.rank: is 0; at least 1 is allowed
bad.yaml:18:59: towers.prose.options.vocabulary: is 'owne'; allowed: 'auto', 'core', 'own'. Did you mean 'own'?
bad.yaml:18:95: towers.prose.stages.train.steps: is 0; at least 1 is allowed
bad.yaml:19:11: student.tier: is 'nine'; write a whole number
bad.yaml:19:46: student.core_teachers.1: 'kode' is not among the teachers. Did you mean 'code'?
bad.yaml:19:63: student.options.layers: is 'x'; it is a whole number
bad.yaml:21:16: losses.0.weight: is -1; write at least 0
bad.yaml:21:39: losses.0.teachers.0: 'on' is not among the teachers.
bad.yaml:22:5: losses.1: is 7; write a mapping, as in {key: value}
bad.yaml:23:5: losses.2.name: is missing
bad.yaml:24:6: losses.3.name: No loss is named 'ank'. Available: anchor, kl. Install the plugin that
bad.yaml:26:11: data.prose.reader: No reader is named 'lins'. Did you mean 'lines'? Available: lines.
bad.yaml:27:7: run.seed: is 3.5; write a whole number
bad.yaml:27:18: run.workers: is 'soon'; allowed: auto, or write a whole number
bad.yaml:27:33: run.memory: '8 gx' is no size; write a number of bytes, or one like 8GB or 500MiB
bad.yaml:27:56: run.stages.trian: No stage is named 'trian'. Did you mean 'train'?
bad.yaml:27:101: run.components.engin: is 'engin'; allowed: engine, profiler, executor. Did you mean 'engine'?
bad.yaml:27:112: run.seeed: unknown field. Did you mean 'seed'?
"""


def load(text, plugins, tmp_path, monkeypatch, *overrides):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text(text)
    return Registry.load(Path("bad.yaml"), plugins, [Override.parse(each) for each in overrides])


def mistakes(text, *more):
    with pytest.raises(RegistryError) as error:
        load(text, *more)
    return error.value.lines


def test_all_at_once_with_places(plugins, tmp_path, monkeypatch):
    lines = mistakes(BAD, plugins, tmp_path, monkeypatch, "run.devise=1")
    found = set(lines)
    for expected in EXPECTED.splitlines():
        assert any(line.startswith(expected) for line in found), (
            expected,
            [x for x in lines if x[:12] == expected[:12]],
        )
    assert len(lines) == len(EXPECTED.splitlines()), [
        line for line in lines if not any(line.startswith(each) for each in EXPECTED.splitlines())
    ]
    assert list(lines) == sorted(
        lines, key=lambda line: tuple(map(int, line.split(":")[1:3])) if "yaml" in line else (0,)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "bad.yaml:1:1: is [1, 2]; write a mapping"),
        ("teachers: 3", "bad.yaml:1:1: teachers: is 3; write a mapping"),
        ("losses: {a: 1}", "bad.yaml:1:1: losses: is {'a': 1}; write a list"),
        ("version: 2", "bad.yaml:1:1: version: is '2'; allowed: 1."),
        ('version: "1"', "bad.yaml:1:1: version: is the text '1'; write 1 without quotes"),
        ("teachers: {a: {source: x, chat: maybe}}", "bad.yaml:1:27: teachers.a.chat: is 'maybe'; write true or false"),
        ("teachers: [1\nb: 2", "bad.yaml:2:2: is no YAML"),
        ("teachers: {a: 3}", "bad.yaml:1:12: teachers.a: is 3; write a mapping"),
        ("teachers: {a: {source: 3.1}}", "bad.yaml:1:16: teachers.a.source: is 3.1; write text, in quotes"),
        ("teachers: {a: {source: ''}}", "bad.yaml:1:16: teachers.a.source: is ''; write something"),
        ('losses: [{name: kl, weight: "1e-4"}]', "bad.yaml:1:21: losses.0.weight: is '1e-4'; write a number, as in 0"),
        ("losses: [{name: kl, weight: .inf}]", "bad.yaml:1:21: losses.0.weight: is inf; write a finite number"),
        ("run: {device: gpu}", "bad.yaml:1:7: run.device: 'gpu' is no device; write auto, cpu, cuda, or one"),
        ("losses: kl", "bad.yaml:1:1: losses: is 'kl'; write a list"),
        ("teachers: {a: {source: x, share: 95%}}", "bad.yaml:1:27: teachers.a.share: is '95%'; write a number, as in"),
        ("teachers: {a: {source: x, share: '%'}}", "bad.yaml:1:27: teachers.a.share: is '%'; write a number"),
        ("teachers: {a: {source: x, share: 0}}", "bad.yaml:1:27: teachers.a.share: is 0; write more than 0"),
        (f"run: {{seed: {2**32}}}", "bad.yaml:1:7: run.seed: is 4294967296; write less than 4294967296"),
        ("run: {seed: !mine 3}", "bad.yaml:1:13: run.seed: the tag '!mine' is not allowed; write plain YAML"),
        ('run: {device: "\\ud800"}', "bad.yaml:1:15: run.device: holds the character '\\ud800', which cannot"),
        ("student: {component: 'a/b'}", "bad.yaml:1:11: student.component: 'a/b' is a path to code"),
        ("losses: [1, {name: kl, x: 1}, 2]", "bad.yaml:1:24: losses.1.x: unknown field"),
        ("towers: {a: }", "bad.yaml:1:10: towers.a: is None; write a mapping"),
        (
            "run: {residency: int8}",
            "bad.yaml:1:7: run.residency: is 'int8'; allowed: auto, resident, offload, stream. "
            "That belongs into another field: `quantise: int8`.",
        ),
        (
            "teachers: {a: {source: x, residency: NF4}}",
            "bad.yaml:1:27: teachers.a.residency: is 'NF4'; allowed: auto, "
            "resident, offload, stream. That belongs into another field: `quantise: nf4`.",
        ),
        (
            "teachers: {a: {source: x, quantise: stream}}",
            "bad.yaml:1:27: teachers.a.quantise: is 'stream'; allowed: "
            "none, auto, nf4, int8. That belongs into another field: `residency: stream`.",
        ),
        (
            "teachers: {a: {source: x, memory: 8GB}}",
            "bad.yaml:1:27: teachers.a.memory: unknown field. It stands in run: `run.memory`. Allowed: source",
        ),
        ("run: {seed: true}", "bad.yaml:1:7: run.seed: is True; write a whole number"),
        ("run: {memory: true}", "bad.yaml:1:7: run.memory: is 'True'; allowed: auto, or write a whole number"),
        ("teachers: {a: {source: x, aliases: [1]}}", "bad.yaml:1:37: teachers.a.aliases.0: is 1; write text"),
    ],
)
def test_wrong_shapes(plugins, tmp_path, monkeypatch, text, message):
    assert any(line.startswith(message) for line in mistakes(text, plugins, tmp_path, monkeypatch))


def test_empty_sections_mean_none(plugins, tmp_path, monkeypatch):
    registry = load("teachers:\ntowers:\nlosses:\ndata:\nrun:\nstudent:\n", plugins, tmp_path, monkeypatch)
    assert not registry.model.teachers
    assert registry.model.run.threads == 1
    assert load("# nothing\n", plugins, tmp_path, monkeypatch, "run.seed=4").model.run.seed == 4


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("losses.0.weight=x", "--set losses.0.weight=x: losses.0.weight: is 'x'; write a number"),
        ("losses.7.weight=1", "--set losses.7.weight=1: losses.7.weight: there is nothing there to set"),
        ("version.a=1", "--set version.a=1: version.a: there is nothing there to set"),
        ("losses.kl.weight=1", "--set losses.kl.weight=1: losses.kl.weight: there is nothing there to set"),
        ("run.stages.train={steps: 0}", "--set run.stages.train={steps: 0}: run.stages.train.steps: is 0; at least 1"),
    ],
)
def test_mistakes_in_flags_name_the_flag(plugins, tmp_path, monkeypatch, flag, message):
    lines = mistakes("version: 1\nlosses: [{name: kl}]", plugins, tmp_path, monkeypatch, flag)
    assert lines[0].startswith(message)


@pytest.mark.parametrize("flag", ["run.seed", "=1", "run..seed=1"])
def test_flags_have_a_form(flag):
    with pytest.raises(RegistryError, match=r"write it as key\.path=value"):
        Override.parse(flag)


def test_flags_are_typed_as_yaml():
    assert Override.parse("a.0.b=[1e-4, on]").value == [1e-4, "on"]
    assert Override.parse("a=").value is None
    with pytest.raises(RegistryError, match="put it in quotes"):
        Override.parse("a=[1")


def test_files_that_cannot_be_read(plugins, tmp_path):
    with pytest.raises(RegistryError, match=r"no\.yaml: there is no such file. Type `nexus add SOURCE`"):
        Registry.load(tmp_path / "no.yaml", plugins)
    (tmp_path / "odd.yaml").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(RegistryError, match=r"odd\.yaml:1:1: is no text \(byte 0 is not UTF-8\)\. Save it as UTF-8"):
        Registry.load(tmp_path / "odd.yaml", plugins)
    (tmp_path / "odd.yaml").write_bytes(b"version: 1\nteachers: \xfc")
    with pytest.raises(RegistryError, match=r"odd\.yaml:2:11: is no text"):
        Registry.load(tmp_path / "odd.yaml", plugins)
    (tmp_path / "odd.yaml").write_text("#" * 4_000_001)
    with pytest.raises(RegistryError, match=r"odd\.yaml: has 4000001 bytes; at most 4000000 are read"):
        Registry.load(tmp_path / "odd.yaml", plugins)
    with pytest.raises(RegistryError, match=r"is a folder\. Name the file, as in --registry .*registry\.yaml"):
        Registry.load(tmp_path, plugins)


def test_thousands_of_mistakes_are_counted(plugins, tmp_path, monkeypatch):
    lines = mistakes("losses:\n" + "- 5\n" * 3000, plugins, tmp_path, monkeypatch)
    assert len(lines) == 201
    assert lines[0] == "bad.yaml:2:3: losses.0: is 5; write a mapping, as in {key: value}"
    assert lines[-1] == "And 2800 more mistakes."


ABSENT = """\
version: 1
teachers:
  a: {source: ./shapes, tower: t, data: here}
  b: {source: "package:nope/x", tower: t, data: here}
  c: {source: ~nobody-here/x, tower: t, data: gone}
  d: {source: "./shape+./shape#one", tower: t, data: hub, metric: accurate}
  e: {source: owner/name, tower: t, data: here}
  f: {source: ./never-looked-at, tower: t, data: unused, status: available}
  g: {source: "package:whole_home/registry.yaml", tower: t, data: pattern}
  h: {source: "hub:owner/name", tower: t, data: here}
  i: {source: "package:", tower: t, data: here}
towers:
  t: {component: text}
data:
  here: {reader: lines, options: {path: bad.yaml}}
  gone: {reader: lines, options: {parts: {train: [bad.yaml, no.txt], held_out: ~/no-such/x.txt}}}
  hub: {reader: lines, options: {path: "https://x/y"}}
  pattern: {reader: lines, options: {path: "*.txt"}}
  unused: {reader: lines, options: {path: nowhere}}
"""


def test_files_that_are_not_there_are_mistakes_like_any_other(plugins, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text(ABSENT)
    (tmp_path / "shape").mkdir()
    with pytest.raises(RegistryError) as error:
        Registry.load(Path("bad.yaml"), plugins, [Override.parse("data.here.options.path=gone.txt")], files=True)
    wanted = f"""\
--set data.here.options.path=gone.txt: data.here.options.path: there is nothing at {tmp_path}/gone.txt. Name a file
bad.yaml:3:7: teachers.a.source: there is nothing at {tmp_path}/shapes. Did you mean 'shape'? Name a folder, package:
bad.yaml:4:7: teachers.b.source: The package 'nope' of 'package:nope/x' is not installed. Name a folder
bad.yaml:5:7: teachers.c.source: there is nothing at {tmp_path}/~nobody-here/x. Name a folder
bad.yaml:6:59: teachers.d.metric.name: No metric is named 'accurate'. Did you mean 'accuracy'?
bad.yaml:11:7: teachers.i.source: The package '' of 'package:' is not installed. Name a folder
bad.yaml:16:61: data.gone.options.parts.train.1: there is nothing at {tmp_path}/no.txt. Name a file or a folder
bad.yaml:16:70: data.gone.options.parts.held_out: there is nothing at {Path.home()}/no-such/x.txt. Name a file
""".splitlines()
    assert len(error.value.lines) == len(wanted), error.value
    for line, start in zip(error.value.lines, wanted, strict=True):
        assert line.startswith(start), (line, start)
    assert Registry.load(Path("bad.yaml"), plugins, models=["e"]).selected == ("e",)


def test_a_registry_knows_where_its_values_were_written(plugins, tmp_path, monkeypatch):
    registry = load("data:\n  here: {reader: lines}\n", plugins, tmp_path, monkeypatch)
    assert registry.where("data", "here") == "bad.yaml:2:3: data.here: "
    assert registry.where("data", "here", "options") == "bad.yaml:2:3: data.here.options: "
