"""The sender for old PCs: a file's lines to a citywatch, each once, whatever the link does meanwhile.

This package is also shipped alone, as one file for Python 3.8 and newer (`make sender`): it imports nothing but the
standard library and itself, relatively, and uses no syntax or function that is newer.
"""
