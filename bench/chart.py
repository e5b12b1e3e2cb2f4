"""The chart of a run of the bench, as SVG: a bar for each work, its length the ratio to Docker, its budget a mark.

A bar ends at the median; the thin line over its end spans the quarters, half of all samples. It is readable on light
and on dark pages, and needs no font but what the reader has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from bench.measure import OURS, Row, figure
from bench.results import Results

WIDTH, MARGIN = 960, 24
LABELS, BARS, FIGURES = 348, 388, 176  # the three columns
LINE, BAR, HEAD = 22, 12, 40
LONGEST = 1.35  # a ratio beyond is cut, with an arrow
WAYS = {", the docker CLI on both sides": "docker CLI", ", each its own CLI": "own CLI"}
WAYS |= {", against the legacy builder": "legacy builder", ", against BuildKit": "BuildKit"}

STYLE = """
  text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 13px; fill: #24292f }
  .card { fill: #ffffff; stroke: #d0d7de } .title { font-size: 18px; font-weight: 600 }
  .group { font-weight: 600 } .quiet { fill: #6e7781; font-size: 12px } .grid { stroke: #eaeef2 }
  .one { stroke: #8c959f; stroke-dasharray: 3 3 }
  .met { fill: #2da44e } .missed { fill: #d4761c } .free { fill: #57a0d3 }
  .budget { stroke: #24292f; stroke-width: 2 } .spread { stroke: #24292f; stroke-opacity: 0.55 }
  .peer { fill: none; stroke: #8250df; stroke-width: 1.6 } .end { text-anchor: end } .middle { text-anchor: middle }
  .number { font-variant-numeric: tabular-nums }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .card { fill: #0d1117; stroke: #30363d } .quiet { fill: #8b949e } .grid { stroke: #21262d }
    .one { stroke: #6e7681 } .met { fill: #3fb950 } .missed { fill: #e0883a } .free { fill: #58a6ff }
    .budget { stroke: #e6edf3 } .spread { stroke: #e6edf3 } .peer { stroke: #bc8cff }
  }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """A row as it is drawn; all lengths are parts of what the axis calls 1."""

    label: str
    way: str
    length: float
    low: float
    high: float
    mark: float  # the budget, 0 for none
    peers: tuple[float, ...]
    figures: str
    kind: str  # met, missed or free


def bar_of(row: Row) -> Bar | None:
    """A row against its reference, or against its limit where it has none; None when nothing can be drawn."""
    ours = row.median(OURS)
    whole = row.median(row.reference) or row.limit
    if ours is None or not whole:
        return None
    low, high = row.spread(OURS) or (ours, ours)
    others = [side for side in row.samples if side not in {OURS, row.reference}]
    peers = tuple(found / whole for side in others if (found := row.median(side)) is not None)
    label, way = (row.name, "more is better") if row.more_is_better else _label(row.name)
    kind = {True: "met", False: "missed", None: "free"}[row.is_met]
    mark = row.budget if row.limit is None else row.limit / whole
    return Bar(label, way, ours / whole, low / whole, high / whole, mark, peers, _figures(row), kind)


def _label(name: str) -> tuple[str, str]:
    for ending, way in WAYS.items():
        if name.endswith(ending):
            return name.removesuffix(ending).replace("`", ""), way
    return name.replace("`", ""), ""


def _figures(row: Row) -> str:
    ours, reference = figure(row.median(OURS), ""), figure(row.median(row.reference), row.unit)
    if not reference:
        return f"{figure(row.median(OURS), row.unit)} of {figure(row.limit, row.unit)}"
    return f"{ours} : {reference}"


def draw(results: Results) -> str:
    """The whole chart."""
    parts: list[str] = []
    top = _heading(parts, results)
    for title, rows in results.groups.items():
        bars = [bar for row in rows if (bar := bar_of(row)) is not None]
        if bars:
            top = _group(parts, title, bars, _against(rows), top)
    height = _foot(parts, results, top)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="sampan and Docker side by side, {escape(results.date)}">'
    )
    card = f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", card, *parts, "</svg>"]) + "\n"


def _against(rows: list[Row]) -> str:
    """What the figures of a group are set against."""
    references = dict.fromkeys(row.reference for row in rows if row.median(row.reference))
    return f"sampan : {' or '.join(references)}" if references else "sampan of its limit"


def _heading(parts: list[str], results: Results) -> int:
    text = "sampan beside Docker: the shorter the bar, the faster"
    parts.append(_text(MARGIN, 38, text, "title"))
    told = ", ".join(f"{name} {version}" for name, version in results.versions.items() if name in {"Docker", "Podman"})
    machine = f"{results.machine.get('processors', '?')} processors, {results.machine.get('kernel', '')}"
    parts.append(_text(MARGIN, 58, f"{results.date} · {told} · {machine} · same work in turn, medians", "quiet"))
    left = MARGIN
    has_peers = any(len(row.samples) > 2 for rows in results.groups.values() for row in rows)
    for kind, name in (("met", "within its budget"), ("missed", "beyond it"), ("free", "no budget")):
        parts.append(f'<rect class="{kind}" x="{left}" y="72" width="{BAR}" height="{BAR}" rx="2"/>')
        parts.append(_text(left + 18, 83, name, "quiet"))
        left += 40 + 7 * len(name)
    parts.append(f'<path class="budget" d="M{left + 2} 70v16"/>')
    parts.append(_text(left + 10, 83, "budget", "quiet"))
    parts.append(f'<path class="spread" d="M{left + 68} 78h18m-18 -4v8m18 -8v8"/>')
    parts.append(_text(left + 94, 83, "half of all samples", "quiet"))
    if has_peers:
        parts.append(_diamond(left + 226, 78))
        parts.append(_text(left + 236, 83, "Podman (for starts alone: crun)", "quiet"))
    return 96


def _group(parts: list[str], title: str, bars: list[Bar], against: str, top: int) -> int:
    parts.append(_text(MARGIN, top + 26, title, "group"))
    parts.append(_text(WIDTH - MARGIN, top + 26, against, "quiet end"))
    begin, end = top + HEAD, top + HEAD + LINE * len(bars)
    for step in range(6):
        x = _x(step / 4)
        if x <= MARGIN + LABELS + BARS:
            parts.append(f'<path class="{"one" if step == 4 else "grid"}" d="M{x} {begin - 4}V{end}"/>')
            parts.append(_text(x, begin - 8, f"{step / 4:g}", "quiet middle"))
    for number, bar in enumerate(bars):
        _bar(parts, bar, begin + LINE * number)
    return end + 8


def _bar(parts: list[str], bar: Bar, top: int) -> None:
    middle, base = top + LINE // 2, top + LINE // 2 + 4
    room = LABELS - 16 - (7 * len(bar.way) + 12 if bar.way else 0)
    parts.append(_text(MARGIN, base, _fitted(bar.label, room), ""))
    if bar.way:
        parts.append(_text(MARGIN + LABELS - 16, base, bar.way, "quiet end"))
    zero, end = _x(0), _x(min(bar.length, LONGEST))
    box = f'x="{zero}" y="{middle - BAR // 2}" width="{max(end - zero, 1):.1f}" height="{BAR}"'
    parts.append(f'<rect class="{bar.kind}" {box} rx="2"/>')
    if bar.length > LONGEST:
        parts.append(f'<path class="{bar.kind}" d="M{end} {middle - 8}l9 8l-9 8z"/>')
    elif bar.high > bar.low:
        low, high = _x(bar.low), _x(min(bar.high, LONGEST))
        parts.append(f'<path class="spread" d="M{low} {middle}H{high}M{low} {middle - 4}v8M{high} {middle - 4}v8"/>')
    if bar.mark and bar.mark <= LONGEST:
        parts.append(f'<path class="budget" d="M{_x(bar.mark)} {middle - 9}v18"/>')
    for peer in bar.peers:
        parts.append(_diamond(_x(min(peer, LONGEST)), middle))
        if peer > LONGEST:
            parts.append(_text(_x(LONGEST) - 10, base, f"{peer:.2f}", "quiet number end"))
    right = WIDTH - MARGIN
    parts.append(_text(right - FIGURES + 34, base, _shown(bar.length), "group number end"))
    parts.append(_text(right, base, bar.figures, "quiet number end"))


def _shown(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.005 or not ratio else "< 0.01"


def _fitted(label: str, room: int) -> str:
    """A label that is no longer than its column; a letter is seven pixels wide on average."""
    return label if len(label) * 7 <= room else label[: room // 7 - 1].rstrip(" ,") + "…"


def _foot(parts: list[str], results: Results, top: int) -> int:
    for title, reason in results.failures.items():
        top += 20
        parts.append(_text(MARGIN, top, f"{title}: not measured ({reason})", "quiet"))
    text = "1 is what Docker takes (or runc), or where there is none the limit. To repeat it: ./dev bench"
    parts.append(_text(MARGIN, top + 26, text, "quiet"))
    return top + 46


def _x(part: float) -> float:
    return round(MARGIN + LABELS + part / LONGEST * (BARS - 12), 1)


def _diamond(x: float, y: float) -> str:
    return f'<path class="peer" d="M{x - 5} {y}l5 -5l5 5l-5 5z"/>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    """A line of text; what stands for a number of a range gets its dash."""
    shown = escape(re.sub(r"(\d) x ", r"\1 × ", text))
    return f'<text x="{x}" y="{y}"' + (f' class="{kind}"' if kind else "") + f">{shown}</text>"
