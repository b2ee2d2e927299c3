"""The commands, a file each: a function whose parameters are the command's arguments and options, and whose docstring
is its help. `cli` puts them into one application. What a command needs is imported when it is called, so that `--help`
is quick.
"""
