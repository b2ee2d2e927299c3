"""What well-known programs do with their standard streams: facts of their manuals, which nothing outside them can show.

A program that isn't traced is seen from outside alone: it waits in a read, and it has written nothing. Whether it keeps
its answer in a buffer (awk), can't have one before its input ends (sort), or passes on at once all that it gets (cat)
looks the same from there.
"""

from __future__ import annotations

from typing import Literal

Habit = Literal["buffers", "whole", "passes", "silent"]

# buffers: answers line by line, but to a pipe by blocks (setvbuf(3): stdio's default where it isn't a terminal)
# whole:   can only answer when its input has ended
# passes:  writes what it has read before it reads more
# silent:  reads and writes nothing
HABITS: dict[Habit, str] = {
    "buffers": "awk mawk gawk nawk sed gsed grep egrep fgrep zgrep rg tr cut paste join comm uniq nl fold fmt column "
               "expand unexpand rev perl ruby php lua node python pypy iconv jq xxd od hexdump colrm "
               "col pr factor ts m4",
    "whole": "sort tac wc md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum cksum sum shuf tail tsort gzip "
             "bzip2 xz zstd lzma compress base64 base32 patch ptx",
    "passes": "cat tee dd pv head bc dc sh bash dash zsh ksh socat nc ncat",
    "silent": "sleep true false usleep pause",
}  # fmt: skip
# Programs that do as they are told by others' words, which may name any descriptor.
INTERPRETERS = frozenset(["sh", "bash", "dash", "zsh", "ksh", "perl", "ruby", "php", "lua", "node", "python", "pypy"])
# How such a program is told to answer at once: the remedy's words.
AT_ONCE: dict[str, str] = {
    "grep": "grep --line-buffered",
    "egrep": "grep -E --line-buffered",
    "fgrep": "grep -F --line-buffered",
    "rg": "rg --line-buffered",
    "sed": "sed -u",
    "gsed": "sed -u",
    "awk": "fflush() in the awk program (mawk: -W interactive)",
    "mawk": "mawk -W interactive",
    "gawk": "fflush() in the awk program",
    "nawk": "fflush() in the awk program",
    "jq": "jq --unbuffered",
    "perl": "$| = 1 in the Perl program",
    "ruby": "$stdout.sync = true in the Ruby program",
}

# The switches that do it: words behind the program's name.
SWITCHES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("grep", "egrep", "fgrep", "rg"), ("--line-buffered",)),
    **dict.fromkeys(("sed", "gsed"), ("-u",)),
    **dict.fromkeys(("awk", "mawk"), ("-W", "interactive")),
    "jq": ("--unbuffered",),
}  # fmt: skip

_OF = {program: habit for habit, programs in HABITS.items() for program in programs.split()}


def habit(program: str) -> Habit | None:
    """What a program is known to do; None: nothing is known of it."""
    return _OF.get(_name(program))


def interprets(program: str) -> bool:
    """Whether what a program does depends on what it is given to run."""
    return _name(program) in INTERPRETERS


def _name(program: str) -> str:
    """python3.11 is python."""
    name = program.rsplit("/", 1)[-1]
    return name if name in _OF else name.rstrip("0123456789.-")


def at_once(program: str) -> str:
    """What makes a program answer line by line, in words."""
    name = program.rsplit("/", 1)[-1]
    if name.startswith(("python", "pypy")):
        return f"{name} -u"
    return AT_ONCE.get(name, f"stdbuf -oL {name}")


def switches(program: str) -> list[tuple[str, ...]]:
    """Words that make a program answer line by line: its own switch, or stdbuf(1) before it."""
    own = SWITCHES.get(program.rsplit("/", 1)[-1])
    return [*([own] if own else []), ("stdbuf", "-oL")]
