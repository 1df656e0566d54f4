"""The model card of a release: what a reader wants to know before using it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = """---
library_name: transformers
tags: [nexus, distillation]
---

# A Nexus student

One small causal core with a tower for each capability, distilled from {count} teachers. No teacher is needed to run it.

```
nexus chat RELEASE --prompt "…"         # or --image / --audio / --video FILE, --tower NAME
nexus verify RELEASE                    # scores it again, offline
```

In Python: `from nexus_student.model import NexusModel; NexusModel.from_pretrained("RELEASE/model")`.

"""


def card(manifest: Mapping[str, Any], shown: Mapping[str, Any]) -> str:
    """README.md."""
    parameters, memory = manifest["parameters"], manifest["memory"]
    parts = [
        HEAD.format(count=len(manifest["teachers"])),
        f"## {shown['title']}\n",
        table(shown["columns"], shown["rows"]),
        *shown["notes"],
        "",
        "Retention = (student - floor) / (teacher - floor), with a 95 % interval from a paired bootstrap over held-out "
        "items. Gap closed = the same with the control, the same student trained without a teacher, for the floor.",
        "\n## Sizes\n",
        table(["part", "parameters"], [["core", f"{parameters['core']:,}"], *_towers(parameters)]),
        f"Weights in memory: {memory['core']:,} bytes for the core, at most {memory['largest_tower']:,} more for the "
        "tower that answers.",
        *_decoders(manifest.get("decoders", ())),
        "\n## Teachers\n",
        table(["teacher", "model", "parameters", "from", "licence"], _teachers(manifest["teachers"])),
        "\n## Made with\n",
        "\n".join(f"- {name} {version}" for name, version in manifest["plugins"].items()),
    ]
    return "\n".join(parts).rstrip() + "\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def _towers(parameters: Mapping[str, Any]) -> list[list[str]]:
    return [[f"tower {name}", f"{size:,}"] for name, size in parameters["towers"].items()]


def _decoders(decoders: Sequence[Mapping[str, Any]]) -> list[str]:
    """The section of what is loaded beside the student; nothing where nothing is."""
    if not decoders:
        return []
    names = ("name", "tower", "source", "licence")
    rows = [[*(str(each[name]) for name in names), f"{each['parameters']:,}"] for each in decoders]
    return [
        "\n## Decoders of others\n",
        "Answers of these towers go through models of somebody else's, whole and unchanged. They were not distilled "
        "and are not in this release: each is loaded from where it is published, under its own licence. They count "
        "towards the size of the whole, not of a tower.\n",
        table(["decoder", "tower", "from", "licence", "parameters"], rows),
    ]


def _teachers(teachers: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            name,
            facts["head"],
            f"{facts['parameters']:,}",
            str(facts.get("source", "")),
            str(facts.get("licence") or "not stated"),
        ]
        for name, facts in teachers.items()
    ]
