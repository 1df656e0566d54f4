"""The group: help, exit codes, questions for unknown names, commands of plugins."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_host.__main__ import main, run


@pytest.fixture
def call(whole, capsys):
    def call(*arguments):
        code = run(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_help_names_every_command_and_the_exit_codes(call):
    code, out, _ = call("--help")
    assert code == 0
    for word in ("run", "doctor", "greet", "Greets", "Exit codes", "130", "--without"):
        assert word in out


def test_no_command_shows_the_help(call):
    code, out, err = call()
    assert code == 2
    assert "Commands" in out + err


def test_version(call):
    assert call("--version") == (0, "nexus 0.1.0\n", "")


def test_an_unknown_command_is_a_question(call):
    code, out, err = call("gret")
    assert (code, out) == (2, "")
    assert "No command is named 'gret'. Did you mean 'greet'? See `nexus --help`." in err


def test_an_unknown_option_is_usage(call):
    assert call("--wihtout", "x")[0] == 2
    assert call("list", "--jsn")[0] == 2


def test_commands_of_plugins_have_their_options(call):
    code, out, _ = call("greet", "--help")
    assert code == 0
    assert "Greets." in out
    assert "  WHO  Whom\n" in out
    assert "How often (1..) [default: 1]" in out
    assert "--no-polite" in out
    assert "[good|bad]" in out
    assert "From acme-whole 1.0." in out


def test_commands_of_plugins_are_made_with_their_options(call):
    code, out, _ = call("greet", "you", "--times", "3", "--loud", "--no-polite", "--also", "a", "--also", "b")
    assert code == 2
    assert (
        "('also', ('a', 'b')), ('loud', True), ('mood', 'good'), ('note', None), ('polite', False), ('times', 3)" in out
    )
    assert "('who', 'you')] ['image', 'text']" in out
    assert call("greet")[0] == 0


def test_an_error_of_a_user_has_no_traceback(call, monkeypatch):
    code, _, err = call("greet", "nobody")
    assert (code, err) == (1, "Error: There is nobody to greet.\n")
    monkeypatch.setenv("NEXUS_TRACEBACK", "1")
    with pytest.raises(Exception, match="nobody to greet"):
        run(["greet", "nobody"])


def test_a_command_that_fails_is_named(call, monkeypatch):
    import whole_parts

    def fail(*_):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(whole_parts.Greet, "__call__", fail)
    said = "The command 'greet' of acme-whole 1.0 failed: ZeroDivisionError: division by zero. NEXUS_TRACEBACK=1 shows"
    code, _, err = call("greet")
    assert (code, err) == (1, f"Error: {said} where.\n")


def test_what_nobody_foresaw_has_no_traceback(call, monkeypatch):
    def fail(*_):
        raise KeyError("lost")

    monkeypatch.setattr("nexus_host.registry.json_schema.json_schema", fail)
    code, _, err = call("schema")
    assert (code, err[:24]) == (1, "Error: KeyError: 'lost'.")
    monkeypatch.setattr("nexus_host.registry.json_schema.json_schema", lambda _: Path("/not/there").read_text())
    code, _, err = call("schema")
    assert (code, err[:46]) == (1, "Error: No such file or directory: /not/there. ")
    monkeypatch.setenv("NEXUS_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError):
        run(["schema"])


def test_a_folder_that_was_removed_meanwhile_is_said(call, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    code, _, err = call("plan")
    assert code == 1
    assert err.endswith("The folder that you are in was removed: go to another one.\n")


@pytest.mark.parametrize(
    "line", [("--without", "whole", "greet"), ("greet", "--without", "whole"), ("greet", "--without=whole")]
)
def test_without_stands_before_or_behind_the_command(call, line):
    code, _, err = call(*line)
    assert (code, "No command is named 'greet'" in err) == (2, True)


def test_what_stands_behind_two_dashes_is_no_option(call):
    assert "--without" in call("greet", "--", "--without")[1]


def test_a_doubly_named_command_fails_by_name(whole, call):
    whole.plugin(
        "more", "@hookimpl\ndef nexus_commands():\n    yield Component(name='greet', target='a:b', summary='C')"
    )
    code, _, err = call("greet")
    assert code == 1
    assert "Two plugins offer the command 'greet'" in err
    assert call("--without", "more,", "greet")[0] == 0


def test_without_an_unknown_plugin(call):
    code, _, err = call("--without", "whale", "list")
    assert code == 2
    assert "Did you mean 'whole'?" in err


def test_interruption_has_its_code(call, monkeypatch):
    import whole_parts

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(whole_parts.Greet, "__call__", interrupt)
    assert call("greet") == (130, "", "\nInterrupted.\n")


def test_main_exits_with_the_code(call):
    with pytest.raises(SystemExit) as exit:
        main(["greet", "--times", "2"])
    assert exit.value.code == 1


def test_a_closed_pipe_is_no_error(whole):
    command = [sys.executable, "-m", "nexus_host", "schema"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_schema_is_json(call):
    code, out, _ = call("schema")
    assert code == 0
    assert "TeacherCard" in json.loads(out)["$defs"]


@pytest.mark.parametrize("taps", ["", " , "])
def test_taps_that_name_no_layer_start_no_run(call, tmp_path, monkeypatch, taps):
    monkeypatch.chdir(tmp_path)
    code, _, err = call("extract", "box:one", "--data", "x.txt", "--taps", taps)
    assert code == 2
    assert err.splitlines()[-1].startswith("Error: --taps names no layer. Write")
    assert list(tmp_path.glob("nexus-run*")) == []


def test_what_the_system_refuses_comes_with_what_to_do(call, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system", "/there/out")

    monkeypatch.setattr("nexus_host.registry.json_schema.json_schema", refuse)
    code, _, err = call("schema")
    said = "Error: Read-only file system: /there/out. Nothing can be written there. Choose another place.\n"
    assert (code, err) == (1, said)


def test_several_copies_that_a_launcher_started_are_refused(call, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, err = call("run")
    assert code == 2
    assert "torchrun started several copies" in err
    assert call("run", "--help")[0] == 0
