"""What each command does, as library calls: read the store, call the pure parts and the seams, write the store.

One module a step; none prints, none reads the environment. A recipe in ``scripts/`` calls these, and so does ``cli/``.
"""
