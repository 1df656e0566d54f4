"""Virtual environments of contenders that want other versions: on top of this one, whose torch they share."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "airllm": ("airllm==4.0.0", "scipy", "sentencepiece"),
    "llmcompressor": (
        "llmcompressor==0.14.0.1", "compressed-tensors==0.19.0", "transformers==5.17.0", "loguru", "auto-round==0.15.1",
        "accelerate>=1.15", "nvidia-ml-py", "huggingface-hub<2", "tokenizers", "py-cpuinfo", "threadpoolctl",
        "httpx", "httpcore", "h11", "anyio", "sniffio", "certifi", "idna",
    ),
}  # fmt: skip


def python(contender: str, home: Path) -> str:
    """The interpreter of a contender; its environment is made once. RuntimeError where it cannot be installed."""
    if contender not in PACKAGES:
        return sys.executable
    folder = home / f"venv-{contender}"
    found = folder / "bin" / "python"
    if (folder / "ready").is_file():
        return str(found)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    own = next((folder / "lib").glob("python*")) / "site-packages"
    (own / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [str(found), "-m", "pip", "install", "-q", "--no-deps", *PACKAGES[contender]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{contender} cannot be installed here: {done.stderr.strip()[-400:]}")
    (folder / "ready").write_text("")
    return str(found)
