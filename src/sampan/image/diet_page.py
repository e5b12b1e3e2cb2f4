"""The page that shows an image's diet: what weighs, what is waste, and what would help, at a glance and in one file.

It needs no network and no script; every text from the image is escaped. Numbers are `diet`'s.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from sampan.image.diet import Diet, Place
from sampan.image.treemap import Rectangle, squarify

_WIDTH, _HEIGHT = 1160.0, 560.0
_HEADLINE = 16.0
_LEAST_LABEL = 46.0
_LEAST_AREA = 9.0
_COLOURS = ("#4e79a7", "#59a14f", "#b07aa1", "#f28e2b", "#76b7b2", "#9c755f", "#edc948", "#bab0ac")
_WASTE = "#e15759"
_MOST_ROWS = 40
_UNITS = ("B", "kB", "MB", "GB", "TB")
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #888; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.35rem; margin: 0 0 .2rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
.figures { display: flex; gap: 2.5rem; margin: 1rem 0 1.4rem; flex-wrap: wrap; }
.figures b { display: block; font-size: 1.7rem; font-weight: 600; } .figures span { color: var(--soft); }
.waste b { color: #e15759; }
svg { width: 100%; height: auto; border-radius: 6px; } svg text { font: 11px system-ui, sans-serif;
  fill: #fff; stroke: #0008; stroke-width: 2px; paint-order: stroke; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 500; color: var(--soft); }
td, th { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
.bar { background: var(--line); border-radius: 3px; height: .7rem; min-width: 9rem; display: flex; overflow: hidden; }
.bar i { display: block; background: #4e79a7; } .bar i.w { background: #e15759; }
"""


def page(diet: Diet, name: str) -> str:
    """The whole HTML document."""
    title = html.escape(f"{name}: where its bytes are")
    return "".join(
        (
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{_STYLE}</style><h1>{html.escape(name)}</h1>",
            f"<code>{html.escape(diet.image_id)}</code>",
            *_figures(diet),
            *_treemap(diet.tree),
            *_savings(diet),
            *_layers(diet),
            *_files(diet),
            "</html>\n",
        )
    )


def shown(size: float) -> str:
    """Bytes as people read them: three digits and a unit, as Docker writes sizes."""
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    return f"{size:.3g}{_UNITS[unit]}"


def _figures(diet: Diet) -> Iterator[str]:
    share = 100 * diet.wasted / diet.size if diet.size else 0
    yield '<div class="figures">'
    layers = "1 layer" if len(diet.layers) == 1 else f"{len(diet.layers)} layers"
    yield f"<div><b>{shown(diet.size)}</b><span>in {layers}</span></div>"
    yield f"<div><b>{shown(diet.seen)}</b><span>a container sees</span></div>"
    yield f'<div class="waste"><b>{shown(diet.wasted)}</b><span>could be saved, {share:.0f} %</span></div></div>'


def _treemap(tree: Place) -> Iterator[str]:
    yield f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="directories by size">'
    yield (
        '<defs><pattern id="w" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<rect width="3" height="7" fill="{_WASTE}"/></pattern></defs>'
    )
    parts = [part for part in tree.parts if part.size]
    spaces = squarify([part.size for part in parts], Rectangle(0.0, 0.0, _WIDTH, _HEIGHT))
    for number, (part, space) in enumerate(zip(parts, spaces, strict=True)):
        colours = _COLOURS[number % len(_COLOURS) :]
        # one that is most of the image would leave the picture without colours: its parts have each their own
        is_most = 2 * part.size > tree.size
        yield from _place(part, space, colours if is_most else colours[:1], f"/{part.name}", 0)
    yield "</svg><p>Hatched in red is what could be saved of a directory. Point at a rectangle for its path.</p>"


def _place(place: Place, space: Rectangle, colours: Sequence[str], path: str, depth: int) -> Iterator[str]:
    """A rectangle with its parts inside; how much of it is waste is hatched from the left.

    It has the first of `colours`, its parts have the others in turn, or the same where there is none.
    """
    if space.width * space.height < _LEAST_AREA:
        return
    where = f'x="{space.x:.1f}" y="{space.y:.1f}" height="{space.height:.1f}"'
    waste = f", {shown(place.wasted)} waste" if place.wasted else ""
    opacity = max(0.95 - depth * 0.13, 0.5)
    yield f"<g><title>{html.escape(path)}: {shown(place.size)}{waste}</title>"
    yield f'<rect {where} width="{space.width:.1f}" fill="{colours[0]}" fill-opacity="{opacity:.2f}" stroke="#fff" '
    yield 'stroke-opacity=".55"/>'
    inner = [part for part in place.parts if part.size]
    is_leaf = not inner or space.width < 2 * _LEAST_LABEL or space.height < 2 * _HEADLINE
    if is_leaf and place.wasted:
        width = space.width * place.wasted / place.size
        yield f'<rect {where} width="{width:.1f}" fill="url(#w)"/>'
    if space.width >= _LEAST_LABEL and space.height >= _HEADLINE:
        letters = int((space.width - 8) / 6.2)
        text = f"{place.name} {shown(place.size)}"
        text = text if len(text) <= letters else place.name[: max(letters - 1, 1)] + "…" if letters > 2 else ""
        yield f'<text x="{space.x + 4:.1f}" y="{space.y + 12:.1f}">{html.escape(text)}</text>'
    yield "</g>"
    if not is_leaf:
        spaces = squarify([part.size for part in inner], space.inside(2.0, _HEADLINE))
        for number, (part, inside) in enumerate(zip(inner, spaces, strict=True)):
            colour = colours[1 + number % (len(colours) - 1)] if len(colours) > 1 else colours[0]
            yield from _place(part, inside, (colour,), f"{path}/{part.name}", depth + 1)


def _savings(diet: Diet) -> Iterator[str]:
    yield "<h2>What would help</h2>"
    savings = diet.savings()
    if not savings:
        yield "<p>Nothing to save was found.</p>"
        return
    yield '<table><tr><th class="n">saves</th><th class="n">files</th><th>what</th><th>how</th></tr>'
    for one in savings:
        yield f'<tr><td class="n">{shown(one.size)}</td><td class="n">{one.files}</td><td>{html.escape(one.kind)}</td>'
        yield f"<td>{html.escape(one.remedy)}</td></tr>"
    yield "</table>"


def _layers(diet: Diet) -> Iterator[str]:
    yield '<h2>Layers, lowest first</h2><table><tr><th class="n">#</th><th class="n">size</th><th class="n">files</th>'
    yield "<th></th><th>made by</th></tr>"
    largest = max((layer.size for layer in diet.layers), default=0) or 1
    for layer in diet.layers:
        useful, wasted = (100 * part / largest for part in (max(layer.size - layer.wasted, 0), layer.wasted))
        yield f'<tr><td class="n">{layer.number}</td><td class="n">{shown(layer.size)}</td>'
        yield f'<td class="n">{layer.files}</td>'
        yield f'<td><div class="bar" title="{shown(layer.wasted)} waste"><i style="width:{useful:.1f}%"></i>'
        yield f'<i class="w" style="width:{wasted:.1f}%"></i></div></td>'
        yield f"<td><code>{html.escape(layer.instruction or layer.diff_id)}</code></td></tr>"
    yield "</table>"


def _files(diet: Diet) -> Iterator[str]:
    if not diet.waste:
        return
    yield '<h2>The largest files that could be saved</h2><table><tr><th class="n">size</th><th class="n">layer</th>'
    yield "<th>file</th><th>why</th></tr>"
    for waste in diet.waste[:_MOST_ROWS]:
        yield f'<tr><td class="n">{shown(waste.size)}</td><td class="n">{waste.layer}</td>'
        yield f"<td><code>/{html.escape(waste.path)}</code></td>"
        yield f"<td>{html.escape(waste.kind)}: {html.escape(waste.remedy)}</td></tr>"
    yield "</table>"
