"""The plot: a line a row, a dot a server, on a logarithmic scale of ratios to nginx, with the spread over the rounds."""

import math
import statistics
from xml.sax.saxutils import escape

COLOURS = {"edgeseal": "#c2410c", "hitch+varnish": "#2563eb", "trafficserver": "#15803d", "haproxy": "#7c3aed"}
LEFT, WIDTH, LINE, TOP = 400, 560, 26, 84
LEAST, MOST = 0.2, 5.0
TICKS = (0.25, 0.5, 1, 2, 4)


def place(ratio):
    share = math.log(min(max(ratio, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return LEFT + share * WIDTH


def draw(view):
    lines = [row for row in view.rows if any(view.ratios(row, server) for server in COLOURS)]
    height = TOP + LINE * len(lines) + 20
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 30} {height}" '
        'font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        '<text x="10" y="20" font-weight="bold">times better than nginx in the same round (right is better)</text>',
    ]
    for index, (name, colour) in enumerate(COLOURS.items()):
        x = LEFT + index * 140
        out.append(f'<circle cx="{x}" cy="40" r="5" fill="{colour}"/><text x="{x + 9}" y="44">{name}</text>')
    for tick in TICKS:
        x, colour = place(tick), "#111" if tick == 1 else "#ddd"
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 14}" y2="{height - 14}" stroke="{colour}"/>')
        out.append(f'<text x="{x:.1f}" y="{TOP - 18}" text-anchor="middle" fill="#555">{tick:g}×</text>')
    for index, row in enumerate(lines):
        y = TOP + LINE * index + 6
        out.append(f'<text x="10" y="{y + 4}">{escape(row.title)}</text>')
        for server, colour in COLOURS.items():
            ratios = view.ratios(row, server)
            if not ratios:
                continue
            least, most, middle = (place(ratio) for ratio in (min(ratios), max(ratios), statistics.median(ratios)))
            out.append(f'<line x1="{least:.1f}" x2="{most:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2" opacity="0.5"/>')
            out.append(f'<circle cx="{middle:.1f}" cy="{y}" r="5" fill="{colour}" opacity="0.9"/>')
    return "\n".join(out + ["</svg>", ""])
