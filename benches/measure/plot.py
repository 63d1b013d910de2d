"""Pictures as SVG: bars, and a line over something that grows."""

import math

OWN, OTHER, GRID = "#8a5a2b", "#9aa4ad", "#d9dde0"


def svg(width, height, title, parts):
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><title>{title}</title>' + "".join(parts) + "</svg>\n"
    )


def bars(title, values):
    """A bar for each (label, value, whether it is ours)."""
    most = max(value for _, value, _ in values)
    height, left, width = 20, 300, 380
    parts = []
    for number, (label, value, is_ours) in enumerate(values):
        top, length = 10 + number * height, value / most * width
        parts.append(
            f'<text x="{left - 8}" y="{top + 14}" text-anchor="end">{label}</text>'
            f'<rect x="{left}" y="{top + 3}" width="{length:.1f}" height="{height - 6}" fill="{OWN if is_ours else OTHER}"/>'
            f'<text x="{left + length + 6:.1f}" y="{top + 14}">{value:.1f}</text>'
        )
    return svg(left + width + 60, 20 + len(values) * height, title, parts)


def line(title, unit, points):
    """A line through (x, y), x by its logarithm where it grows by a lot; each point with its numbers."""
    left, top, width, height = 60, 34, 560, 200
    xs, ys = [x for x, _ in points], [y for _, y in points]
    scale = math.log10 if xs[-1] > 10 * xs[0] > 0 else float
    first, span = scale(xs[0]), max(scale(xs[-1]) - scale(xs[0]), 1e-9)
    most = max(ys) * 1.15 or 1
    at = [(left + (scale(x) - first) / span * width, top + height - y / most * height) for x, y in points]
    parts = [f'<text x="{left}" y="16">{title}, {unit}</text>']
    for part in (0, 0.5, 1):
        level = top + height - part * height
        parts.append(
            f'<line x1="{left}" y1="{level}" x2="{left + width}" y2="{level}" stroke="{GRID}"/>'
            f'<text x="{left - 8}" y="{level + 4}" text-anchor="end">{most * part:,.0f}</text>'
        )
    parts.append(f'<polyline fill="none" stroke="{OWN}" stroke-width="2" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in at)}"/>')
    for (x, y), (number, value) in zip(at, points):
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{OWN}"/>'
            f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{value:,.1f}</text>'
            f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle">{number:,}</text>'
        )
    return svg(left + width + 40, top + height + 30, title, parts)
