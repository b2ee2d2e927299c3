"""Addresses in words, numbered from 1 as sites are, and what is known of the ends of connections."""

from __future__ import annotations

from itertools import count

from . import table

_MOST = 10_000  # a server of many clients must not make us keep all of their addresses


class Addresses:
    """Numbers addresses and defines each in the log before its first use."""

    def __init__(self, log):
        self.log = log
        self.clear()

    def clear(self):
        """Forget everything: in a new log every address must be defined anew."""
        self.numbers = {}
        self.count = count(1)  # `+= 1` would give two threads the same number

    def number(self, text):
        """The number of an address; 0 for an empty one."""
        if not text:
            return 0
        number = self.numbers.get(text)
        if number is None:
            if len(self.numbers) >= _MOST:
                self.numbers.clear()
            number = next(self.count)
            self.log.define(table.ADDRESS, text, offset=number)
            self.numbers[text] = number  # only now: another thread must not refer to what isn't defined
        return number

    def endpoint(self, channel, form, local="", remote="", peer_pid="", peer=0, since=table.NONE):
        """Say what is known of one end of a connection."""
        self.log.define(table.ENDPOINT, form, local, remote, peer_pid, channel=channel, offset=peer, size=since)


def words(address):
    """An address of the socket module as text: a path, @abstract, host:port, [host]:port; "" for none.

    Those that aren't valid are the program's objects: they aren't asked for their text, which would be their own code.
    """
    if isinstance(address, (bytes, bytearray)):
        address = address.decode("utf-8", "surrogateescape")
    if isinstance(address, str):
        address = "@" + address[1:] if address.startswith("\0") else address
        for separator in (table.SEPARATOR, table.LIST_SEPARATOR):
            address = address.replace(separator, "?")
        return address
    if not isinstance(address, tuple):
        return ""
    parts = [part if isinstance(part, int) else words(part) for part in address]
    if len(parts) == 2:
        return "%s:%s" % tuple(parts)
    if len(parts) == 4:
        host, port = parts[:2]
        # an IPv4 client of an IPv6 server: for the client the same address has no colons
        mapped = isinstance(host, str) and host.startswith("::ffff:") and "." in host
        return "%s:%s" % (host[7:], port) if mapped else "[%s]:%s" % (host, port)
    return repr(tuple(parts)) if parts else ""
