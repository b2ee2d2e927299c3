"""A run played in the terminal: what holds at an instant (`instants`), what has happened until then (`happenings`), and
the two as lines (`scene`, `chart`, `screen`). `log` is the run as a line an event. Pure functions: whoever plays asks
for the screen of a moment and gets its lines.
"""
