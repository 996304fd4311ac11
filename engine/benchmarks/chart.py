"""The chart of `benchmarks.throughput`: bars for each load, as SVG."""

from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.loads import LOADS

_COLOURS = {"ours": "#c2410c", "peer": "#475569", "outside": "#94a3b8", "limit": "#cbd5e1"}
_WIDTH, _LABELS, _BARS, _ROW = 860, 290, 400, 24


def chart(results: Mapping[str, Any]) -> str:
    """Requests per second of each server; limits reach beyond the scale and are cut off there."""
    parts, top = [], 20
    for load in LOADS:
        parts += [_text(20, top + 14, load.title, 'font-weight="bold"')]
        parts += _bars(results["servers"].values(), load.name, top + 24)
        top += 24 + _ROW * len(results["servers"]) + 20
    options = results["options"]
    note = (
        f"Requests/s on one core: the median of {options['rounds']} rounds of {options['seconds']} s, and their range"
    )
    parts += [_text(20, top, note, 'fill="#64748b"')]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 16}" font-family="sans-serif" '
        f'font-size="13">\n<rect width="100%" height="100%" fill="#fff"/>'
    )
    return "\n".join([head, *parts, "</svg>\n"])


def _bars(servers: Any, load: str, top: int) -> Iterator[str]:
    rates = [(each["title"], each["kind"], each["loads"][load]["requests_per_second"]) for each in servers]
    full = max(
        [rate["max"] for _, kind, rate in rates if kind in ("ours", "peer")] or [rate["max"] for *_, rate in rates]
    )
    for title, kind, rate in rates:
        ends = {name: min(value / full, 1.0) * _BARS for name, value in rate.items()}
        middle = top + _ROW // 2
        yield _text(_LABELS - 8, middle + 5, title, 'text-anchor="end"')
        yield (
            f'<rect x="{_LABELS}" y="{top + 3}" width="{ends["median"]:.1f}" height="{_ROW - 6}" '
            f'fill="{_COLOURS[kind]}"/>'
        )
        low, high = (_LABELS + ends[name] for name in ("min", "max"))
        yield f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#000" stroke-opacity=".6"/>'
        beyond = " →" if rate["median"] > full else ""
        yield _text(_LABELS + ends["max"] + 8, middle + 5, f"{rate['median']:,.0f}{beyond}")
        top += _ROW


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" {attributes}>{escape(text)}</text>'
