"""lcageo doctor: checks this installation."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from lcageo.cli import console, options
from lcageo.errors import DeviceError

if TYPE_CHECKING:
    from lcageo.doctor.examination import Health


def doctor(as_json: options.Json = False, debug: options.Debug = False) -> None:
    """Checks this installation: versions, formats, devices, memory and disk, and what to install for more.

    It loads the default model to see what runs it, and ends with code 1 if nothing does.

    Examples:

    - `lcageo doctor`
    - `lcageo doctor --json`
    """
    from lcageo.doctor.examination import examine

    health = examine()
    if as_json:
        console.json_data("doctor", asdict(health))
    else:
        console.data(_text(health))
    if health.chosen is None:
        raise DeviceError(f"scenes cannot be searched here: {health.missing[0].effect}")


def _text(health: Health) -> str:
    installed = [f"{name} {version}" for name, version in health.packages.items() if version is not None]
    drivers = [name for name, is_there in health.drivers.items() if is_there]
    grids = f"{len(health.proj_grids):,} grids installed" if health.proj_grids else "no grids installed"
    rows = {
        "lcageo": f"{health.lcageo}, Python {health.python} ({health.executable})",
        "system": health.platform,
        "packages": ", ".join(installed),
        "GDAL": f"{health.gdal}, reads {', '.join(drivers)} and more",
        "PROJ": f"{health.proj}, {grids}, {'fetches' if health.proj_network else 'does not fetch'} what it lacks",
        "devices": "; ".join(f"{one.name}: {one.description}" for one in health.devices),
        "backends": ", ".join(name for name, is_there in health.backends.items() if is_there) or "none",
        "runs models": f"{health.model} with {health.chosen}" if health.chosen else "nothing",
        "cache": f"{health.cache}, {health.cache_mb:,.1f} MB",
        "memory": f"{health.memory_free_mb:,.0f} of {health.memory_total_mb:,.0f} MB free",
        "disk": f"{health.disk_free_mb:,.0f} MB free in the current folder",
    }
    lines = [f"{name:12} {value}" for name, value in rows.items()]
    if health.chosen is not None:
        lines.append(f"{'result':12} ready: scenes can be searched here{'; to add more:' if health.missing else ''}")
    label = "missing" if health.chosen is None else "optional"
    lines += [f"{label:12} {one.what}: {one.effect}; {one.remedy}" for one in health.missing]
    return "\n".join(lines)
