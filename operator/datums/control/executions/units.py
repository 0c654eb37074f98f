"""Numbers as people read them. Pure."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size(count: float) -> str:
    """`1.2 MB`: decimal units, as disks and networks are sold."""
    for unit in _UNITS[:-1]:
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.2g} {unit}"
        count /= 1000
    return f"{count:.2g} {_UNITS[-1]}" if count < 99.5 else f"{count:,.0f} {_UNITS[-1]}"


def files(count: int) -> str:
    """`1 file`, `1,000 files`."""
    return f"{count:,} file{'' if count == 1 else 's'}"


def outputs(count: int) -> str:
    """`1 output`, `2 outputs`."""
    return f"{count:,} output{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """`8s`, `2m10s`, `3h5m`, `2d4h`: the two largest parts."""
    whole = max(0, round(seconds))
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return "".join(f"{n}{unit}" for n, unit in parts[:2] if n) or "0s"
