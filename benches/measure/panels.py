"""Draws the panels of a dashboard in their places, from what a Prometheus answered to their queries.

    python3 -m measure.panels PANELS.jsonl PICTURE.svg

Each line is a panel or a row: `title`, `place` as Grafana has it, and of a panel `kind`, `unit`, `mappings` and `series`,
each with `name` and `points`, pairs of a time and a value.
"""

import json
import sys
from html import escape

from .plot import GRID, svg

COLUMN, LINE, GAP = 50, 18, 4
COLOURS = ["#8a5a2b", "#2b6a8a", "#5a8a2b", "#8a2b5a", "#c08a1a", "#5a2b8a", "#2b8a7a", "#9aa4ad"]
MOST_SERIES, MOST_POINTS = 8, 40


def shown(value, unit):
    """A value as somebody would say it."""
    if unit == "s" and 0 < abs(value) < 1:
        return f"{value * 1000:.3g} ms" if abs(value) >= 0.001 else f"{value * 1e6:.3g} µs"
    if unit == "s" and value >= 86400:
        return f"{value / 86400:.3g} d"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "bytes":
        return f"{value / 2**20:.3g} MiB"
    ends = {"s": " s", "reqps": " /s", "d": " d"}
    number = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return number + ends.get(unit, "")


def text(x, y, words, size, rest=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}"{rest}>{escape(words)}</text>'


def stat(box, panel):
    left, top, width, height = box
    _, value = panel["series"][0]["points"][-1]
    words = {value: option["text"] for mapping in panel["mappings"] for value, option in mapping["options"].items()}
    word = words.get(f"{value:g}") or shown(value, panel["unit"])
    return [text(left + width / 2, top + height / 2 + 16, word, 20, ' text-anchor="middle"')]


def chart(box, panel, first, last):
    left, top, width, height = box
    series = sorted(panel["series"], key=lambda one: -max(value for _, value in one["points"]))[:MOST_SERIES]
    values = [value for one in series for _, value in one["points"]]
    least, most = min(0, *values), max(values) * 1.1 or 1
    plot_top, plot_height = top + 24, height - 24 - 12 * ((len(series) + 1) // 2) - 6
    parts = []
    for level in (least, (least + most) / 2, most):
        y = plot_top + plot_height * (1 - (level - least) / (most - least))
        parts.append(f'<line x1="{left + 52}" y1="{y:.0f}" x2="{left + width - 6}" y2="{y:.0f}" stroke="{GRID}"/>')
        parts.append(text(left + 48, y + 3, shown(level, panel["unit"]), 8, ' text-anchor="end"'))
    for number, one in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        points = one["points"][:: max(1, len(one["points"]) // MOST_POINTS)]
        at = [
            f"{left + 52 + (x - first) / (last - first) * (width - 58):.0f},"
            f"{plot_top + plot_height * (1 - (y - least) / (most - least)):.0f}"
            for x, y in points
        ]
        parts.append(f'<polyline fill="none" stroke="{colour}" points="{" ".join(at)}"/>')
        x, y = left + 8 + number % 2 * (width - 8) / 2, plot_top + plot_height + 14 + number // 2 * 12
        parts.append(f'<rect x="{x:.0f}" y="{y - 6:.0f}" width="6" height="6" fill="{colour}"/>')
        parts.append(text(x + 9, y, one["name"][: int(width / 11)], 8))
    return parts


def draw(lines):
    panels = [json.loads(line) for line in lines]
    times = [time for panel in panels for one in panel.get("series", []) for time, _ in one["points"]]
    first, last = min(times), max(times)
    parts = []
    for panel in panels:
        place = panel["place"]
        left, top = place["x"] * COLUMN, place["y"] * LINE
        width, height = place["w"] * COLUMN - GAP, place["h"] * LINE - GAP
        if "series" not in panel:
            parts.append(text(left + 4, top + 14, panel["title"], 13, ' font-weight="bold"'))
            continue
        parts.append(f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="{GRID}"/>')
        parts.append(text(left + 6, top + 14, panel["title"], 10))
        if not panel["series"]:
            parts.append(text(left + width / 2, top + height / 2, "nothing", 10, ' text-anchor="middle"'))
        elif panel["kind"] == "stat":
            parts += stat((left, top, width, height), panel)
        else:
            parts += chart((left, top, width, height), panel, first, last)
    bottom = max(panel["place"]["y"] + panel["place"]["h"] for panel in panels) * LINE
    return svg(24 * COLUMN, bottom, "The dashboard of envgate, as a Prometheus answered its queries", parts)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as panels_file:
        picture = draw(panels_file)
    with open(sys.argv[2], "w", encoding="utf-8") as picture_file:
        picture_file.write(picture)
