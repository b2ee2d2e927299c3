"""Addresses in words, numbered from 1 as sites are, and what is known of the ends of connections."""

from __future__ import annotations

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
        self.count = 0

    def number(self, text):
        """The number of an address; 0 for an empty one."""
        if not text:
            return 0
        number = self.numbers.get(text)
        if number is None:
            if len(self.numbers) >= _MOST:
                self.numbers.clear()
            self.count += 1
            number = self.numbers[text] = self.count
            self.log.define(table.ADDRESS, text, offset=number)
        return number

    def endpoint(self, channel, form, local="", remote="", peer_pid="", peer=0):
        """Say what is known of one end of a connection."""
        self.log.define(table.ENDPOINT, form, local, remote, peer_pid, channel=channel, offset=peer)


def words(address):
    """An address of the socket module as text: a path, @abstract, host:port, [host]:port; "" for none."""
    if isinstance(address, bytes):
        address = address.decode("utf-8", "backslashreplace")
    if isinstance(address, str):
        return "@" + address[1:] if address.startswith("\0") else address
    if isinstance(address, tuple) and len(address) == 2:
        return "%s:%s" % address
    if isinstance(address, tuple) and len(address) == 4:
        return "[%s]:%s" % address[:2]
    return "" if not address else repr(address)
