"""Draws pipeline.svg and layers.svg: boxes, arrows and words, from the lists below.

python docs/images/draw.py
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

FONT = "font-family='Helvetica, Arial, sans-serif'"
INK, GREY, PAPER = "#1f2933", "#616e7c", "#ffffff"
COLOURS = {"teacher": "#fde2c4", "core": "#d9e8fb", "tower": "#d8f0dc", "student": "#e9dcf7", "plain": "#f1f4f8"}
HEAD = (
    "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
    f"<path d='M0,0 L8,4 L0,8 z' fill='{GREY}'/></marker></defs>"
)


def box(x: float, y: float, width: float, title: str, lines: Sequence[str], colour: str) -> str:
    """A rounded box with a title and smaller lines."""
    height = 34 + 16 * len(lines)
    middle = x + width / 2
    parts = [
        f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='8' fill='{COLOURS[colour]}' stroke='{GREY}'/>",
        f"<text x='{middle}' y='{y + 22}' text-anchor='middle' font-size='15' font-weight='bold' fill='{INK}' {FONT}>"
        f"{escape(title)}</text>",
    ]
    for number, line in enumerate(lines):
        parts.append(
            f"<text x='{middle}' y='{y + 42 + 16 * number}' text-anchor='middle' font-size='12' fill='{GREY}' {FONT}>"
            f"{escape(line)}</text>"
        )
    return "\n".join(parts)


def arrow(*points: tuple[float, float]) -> str:
    """A line through points, with a tip at its end."""
    path = " ".join(f"{x},{y}" for x, y in points)
    return f"<polyline points='{path}' fill='none' stroke='{GREY}' stroke-width='1.6' marker-end='url(#tip)'/>"


def words(x: float, y: float, text: str, anchor: str = "middle") -> str:
    """A small line of text."""
    return f"<text x='{x}' y='{y}' text-anchor='{anchor}' font-size='12' fill='{GREY}' {FONT}>{escape(text)}</text>"


def picture(width: int, height: int, parts: Sequence[str]) -> str:
    """The whole file."""
    size = f"width='{width}' height='{height}' viewBox='0 0 {width} {height}'"
    back = f"<rect width='{width}' height='{height}' fill='{PAPER}'/>"
    return "\n".join([f"<svg xmlns='http://www.w3.org/2000/svg' {size}>", HEAD, back, *parts, "</svg>", ""])


def pipeline() -> str:
    """The stages, with what each makes, coloured by what they work on."""
    boxes = {
        "profile": (150, 70, "profile", ["critical layers,", "ranks, bases"], "teacher"),
        "extract": (310, 70, "extract", ["outputs as", "shards on disk"], "teacher"),
        "score": (630, 70, "score", ["held-out score", "and the floor"], "teacher"),
        "core": (310, 190, "core", ["small causal LM,", "then frozen"], "core"),
        "train": (470, 190, "train", ["a tower, from", "shards alone"], "tower"),
        "route": (630, 190, "route", ["one gate row", "for each tower"], "tower"),
        "core-control": (310, 310, "core-control", ["the same without", "a teacher"], "core"),
        "control": (470, 310, "control", ["the same without", "a teacher"], "tower"),
        "assemble": (790, 190, "assemble", ["core, towers, router", "as one model"], "student"),
        "evaluate": (950, 190, "evaluate", ["retention, interval,", "gap closed"], "student"),
        "release": (1110, 190, "release", ["stands without", "teachers and host"], "student"),
    }
    parts = [box(x, y, 130, title, lines, colour) for x, y, title, lines, colour in boxes.values()]
    parts += [box(10, 70, 110, "registry", ["teachers, towers,", "losses, data"], "plain")]
    parts += [
        arrow((120, 103), (148, 103)),
        arrow((280, 103), (308, 103)),
        arrow((375, 136), (375, 188)),
        arrow((440, 103), (535, 103), (535, 188)),
        arrow((440, 223), (468, 223)),
        arrow((535, 256), (535, 284), (855, 284), (855, 258)),
        arrow((760, 223), (788, 223)),
        arrow((920, 223), (948, 223)),
        arrow((1080, 223), (1108, 223)),
        arrow((440, 343), (468, 343)),
        arrow((600, 343), (1015, 343), (1015, 258)),
        arrow((760, 103), (1015, 103), (1015, 188)),
        arrow((215, 136), (215, 343), (308, 343)),
    ]
    legend = [
        ("teacher", "a unit for each teacher"),
        ("core", "the core"),
        ("tower", "each tower"),
        ("student", "the student"),
    ]
    for number, (colour, text) in enumerate(legend):
        x = 150 + 190 * number
        parts.append(f"<rect x='{x}' y='22' width='18' height='14' rx='3' fill='{COLOURS[colour]}' stroke='{GREY}'/>")
        parts.append(words(x + 26, 34, text, "start"))
    parts.append(words(375, 60, "a teacher is open in profile, extract and score alone"))
    return picture(1260, 400, parts)


def layers() -> str:
    """Who imports whom."""
    parts = [
        box(
            20,
            20,
            330,
            "plugins/nexus-*",
            ["loaders, engine, profiler, readers, metrics, losses,", "towers, student, stages"],
            "tower",
        ),
        box(
            470, 20, 250, "nexus_host", ["finds plugins, reads the registry,", "plans, runs, stores, shows"], "teacher"
        ),
        box(20, 150, 330, "nexus_torch", ["torch helpers that two plugins need"], "plain"),
        box(20, 260, 700, "nexus_specs", ["descriptors, records, protocols, hooks, conformance kit"], "core"),
        arrow((150, 86), (150, 148)),
        arrow((150, 200), (150, 258)),
        arrow((335, 86), (400, 130), (400, 258)),
        arrow((595, 86), (595, 258)),
        words(410, 50, "neither knows"),
        words(410, 66, "the other"),
    ]
    return picture(740, 330, parts)


if __name__ == "__main__":
    place = Path(__file__).parent
    for name, drawn in (("pipeline.svg", pipeline()), ("layers.svg", layers())):
        (place / name).write_text(drawn, encoding="utf-8")
