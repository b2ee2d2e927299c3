"""The last exchanges as a sequence diagram in characters, for a terminal.

A column is a thread, a row is a message or a wait that never ended, in order of time; the arrow says what went over and
what became of it. (The form is that of ITU-T Z.120's message sequence charts.) Only ASCII, so that any log keeps it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

from ..analysis.naming import waits_on
from ..analysis.results import Analysis
