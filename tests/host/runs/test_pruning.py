"""`nexus run --prune`: what earlier settings left goes, and nothing else."""


def folders(toy, stage="train", subject="prose"):
    return sorted(each.name for each in (toy.run_dir / "artefacts" / stage / subject).iterdir())


def test_artefacts_of_earlier_settings_go_once_their_successors_are_there(toy):
    toy.command()
    before = toy.contents()
    (old,) = folders(toy)
    toy.stage("train", steps=4)
    toy.command()
    assert len(folders(toy)) == 2
    out, _ = toy.command(command="plan")
    assert "Artefacts of earlier settings hold" in out
    assert "nexus run --prune" in out
    mine = toy.run_dir / "artefacts" / "train" / "prose" / old / "mine.txt"
    mine.write_text("a user's own")
    _, err = toy.command("--prune")
    assert "Removed " in err
    assert mine.exists(), "what no run wrote stays"
    assert len(folders(toy, "profile")) == 1
    assert toy.contents() != before
    mine.unlink()
    mine.parent.rmdir()
    assert len(folders(toy)) == 1
    assert "Artefacts of earlier settings" not in toy.command(command="plan")[0]
    toy.command()
    assert toy.status()["units"][0]["state"] == "cached"


def test_nothing_goes_before_all_is_done(toy):
    toy.command()
    toy.stage("train", steps=4, fail="error")
    toy.command("--prune", code=1)
    assert len(folders(toy)) == 1
    toy.stage("train", fail="")
    assert "Removed " in toy.command("--prune")[1]
    assert "is left of earlier settings" in toy.command("--prune")[1]


def test_what_a_choice_leaves_out_stays(toy):
    toy.command()
    toy.stage("train", steps=4)
    toy.command("--models", "prose", "--prune")
    assert len(folders(toy)) == 1
    assert len(folders(toy, subject="code")) == 1, "code was not chosen: its artefact is not an earlier one"
    assert "--sample-size" in toy.command("--prune", "--sample-size", "2", code=2)[1]


def test_damaged_artefacts_that_were_set_aside_go_too(toy):
    toy.command()
    (one,) = (toy.run_dir / "artefacts" / "profile" / "prose").iterdir()
    (one / "result.json").write_text("damaged")
    toy.command("--prune")
    assert not list((toy.run_dir / "damaged").rglob("*.json"))
