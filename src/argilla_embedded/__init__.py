"""What runs inside the embedded Argilla's own environment: the entry point and the search engine ``sql``.

It imports nothing of ``pref_argilla``; ``pref_argilla.server`` copies this folder beside the server's data and starts
``python -m argilla_embedded``.
"""
