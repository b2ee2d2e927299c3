"""Text for the page: the one escape function, and how numbers and times are written.

Everything that a program wrote (payloads, argv, names, paths, source lines) is hostile: it goes through `escape`, or
`inert` where it becomes data for the script. assets/base.js has the same two rules for what is drawn later.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

# Control characters become pictures, and what would reorder or hide text becomes its code point: a payload may neither
# paint the page nor make a source line read as another (CVE-2021-42574).
_REORDERING = (0x61C, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
_SHOWN = (
    {code: chr(0x2400 + code) for code in range(0x20)}
    | {0x0A: "⏎", 0x7F: "␡"}
    | {code: f"⟨U+{code:04X}⟩" for code in (*range(0x80, 0xA0), *_REORDERING)}
    | {code: f"⟨U+{code:04X}⟩" for code in range(0xE0000, 0xE0080)}
    | {code: f"\\x{code - 0xDC00:02x}" for code in range(0xDC00, 0xDD00)}  # bytes that were no UTF-8 (PEP 383)
    | {code: f"\\u{code:04x}" for code in (*range(0xD800, 0xDC00), *range(0xDD00, 0xE000))}
)


def shown(text: object) -> str:
    """The text with every control and reordering character made visible; not yet HTML."""
    return str(text).translate(_SHOWN)


def escape(text: object) -> str:
    """The text as HTML, safe in an element and in a quoted attribute."""
    return html.escape(shown(text))


def source(text: str) -> str:
    """A line of source as HTML: as `escape`, but its tabs stay wide."""
    return escape(text.expandtabs(4)) or " "


def payload_text(data: bytes) -> str:
    """Payload bytes as text, bytes that are no UTF-8 as escapes."""
    return data.decode("utf-8", "backslashreplace")


def inert(value: Any) -> str:
    """JSON that can lie in a script element: no `<` is left that could end it or open a comment."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def sentences(text: str) -> str:
    """A sentence of the analysis as HTML: calls, streams and what is between back-quotes are set as code."""
    parts = re.split(_CODE, text.replace("`", ""))
    return "".join(
        f"<code>{escape(part)}</code>" if index % 2 else escape(re.sub(r"(?<=[a-z])'(?=[a-z]\b|[a-z]{2}\b)", "’", part))
        for index, part in enumerate(parts)
    )


# what a person would type: `input()`, `sys.stdout`, `flush=True`
_CODE = r"((?:\b[a-z_][\w.]*\([^()\s]*\))|\bsys\.(?:std\w+)|\b[a-z_]+=(?:True|False)\b)"


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def count(number: int, noun: str) -> str:
    """`1 pipe`, `3 pipes`, `65,536 bytes`, `3 processes`."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def moment(nanoseconds: float, digits: int = 4) -> str:
    """A time since the start, in seconds."""
    return f"{nanoseconds / 1e9:.{digits}f} s"


def span(nanoseconds: float) -> str:
    """A duration, in the unit that leaves two or three digits."""
    for unit, size, digits in (("s", 1e9, 2), ("ms", 1e6, 0), ("µs", 1e3, 0)):
        amount = nanoseconds / size
        if amount >= 1:
            return f"{amount:.{1 if unit == 'ms' and amount < 10 else digits}f} {unit}"
    return f"{nanoseconds:.0f} ns" if nanoseconds else "0 s"


def shorten(text: str, length: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= length else text[: max(1, length - 1)].rstrip() + "…"
