"""What `benchmarks.throughput` has found: medians and spread, and a table of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.loads import LOADS
from benchmarks.servers import Server

_COUNTS = ("requests", "not_2xx")


@dataclass(frozen=True)
class Round:
    """One turn of a server: seconds until the first 200, MiB held after the loads, and the figures of each load."""

    cold_start: float
    memory: float
    loads: Mapping[str, Mapping[str, float]]


def spread(values: Iterable[float]) -> dict[str, float]:
    """The median of some rounds, and how far they are apart."""
    found = [round(value, 3) for value in values]
    return {"median": round(median(found), 3), "min": min(found), "max": max(found)}


def summary(servers: Sequence[Server], measured: Mapping[str, Sequence[Round]]) -> dict[str, Any]:
    """The results of each server, by its name."""
    found = {server.name: _of_server(server, measured[server.name]) for server in servers}
    for load in LOADS:
        figures = {name: each["loads"][load.name] for name, each in found.items()}
        rates = {name: each["requests_per_second"]["median"] for name, each in figures.items()}
        best = max((rates[name] for name, each in found.items() if each["kind"] == "peer"), default=None)
        for name, each in figures.items():
            each["ratio_to_best_peer"] = round(rates[name] / best, 3) if best else None
    return found


def _of_server(server: Server, rounds: Sequence[Round]) -> dict[str, Any]:
    loads: dict[str, dict[str, Any]] = {}
    for load in LOADS:
        of_load = [each.loads[load.name] for each in rounds]
        loads[load.name] = {
            figure: (sum if figure in _COUNTS else spread)(each[figure] for each in of_load) for figure in of_load[0]
        }
    return {
        "title": server.title,
        "kind": server.kind,
        "versions": server.versions(),
        "cold_start_seconds": spread(each.cold_start for each in rounds),
        "memory_mib": spread(each.memory for each in rounds),
        "loads": loads,
    }


def _rows(results: Mapping[str, Any], load: str) -> Iterable[Sequence[str]]:
    yield "", "requests/s", "min-max", "of best peer", "p50 ms", "p99 ms", "CPU us/request"
    for server in results["servers"].values():
        found = server["loads"][load]
        rate, ratio = found["requests_per_second"], found["ratio_to_best_peer"]
        yield (
            server["title"],
            f"{rate['median']:,.0f}",
            f"{rate['min']:,.0f}-{rate['max']:,.0f}",
            "" if ratio is None else f"{ratio:.2f}",
            *(f"{found[name]['median']:.2f}" for name in ("p50_ms", "p99_ms")),
            f"{found['cpu_us_per_request']['median']:.0f}",
        )


def _columns(rows: Iterable[Sequence[str]]) -> str:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *line[1:]]) for row, line in zip(rows, lines, strict=True))


def table(results: Mapping[str, Any]) -> str:
    """The results for people: a table for each load, and one of what else there is."""
    servers = results["servers"].values()
    cost = [
        (each["title"], f"{each['cold_start_seconds']['median']:.2f}", f"{each['memory_mib']['median']:.0f}")
        for each in servers
    ]
    parts = [f"{load.title}\n{_columns(_rows(results, load.name))}" for load in LOADS]
    parts += [_columns([("", "cold start s", "memory MiB"), *cost])]
    versions = {each["title"]: ", ".join(f"{k} {v}" for k, v in each["versions"].items()) for each in servers}
    parts += ["\n".join(f"{title}: {found}" for title, found in versions.items())]
    where = results["machine"]
    parts += [f"{where['cpu']}, {where['cpus']} CPUs, load average before: {where['load_average'][0]}"]
    return "\n\n".join(parts)
