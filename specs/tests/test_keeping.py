"""What a plugin changes of a process for everybody is put back."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from nexus_specs import unchanged


def test_modes_and_folder_are_as_before(tmp_path: Path) -> None:
    folder, threads, random = Path.cwd(), torch.get_num_threads(), torch.get_rng_state()
    with unchanged():
        os.chdir(tmp_path)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(threads + 1)
        torch.manual_seed(7)
    assert Path.cwd() == folder
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), random)


def test_who_asked_for_another_mode_keeps_it() -> None:
    with torch.no_grad():
        with unchanged():
            torch.set_grad_enabled(True)
        assert not torch.is_grad_enabled()
    with unchanged():
        pass
    assert torch.is_grad_enabled()


def test_torch_is_not_imported_for_it_and_what_imports_it_changes_nothing() -> None:
    code = (
        "import sys\nfrom nexus_specs import unchanged\n"
        "with unchanged(): pass\n"
        "assert 'torch' not in sys.modules\n"
        "with unchanged():\n    import torch\n    torch.set_grad_enabled(False)\n"
        "    torch.set_default_dtype(torch.float64)\n"
        "assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
