"""Everything that knows Argilla: the only package that imports it, and the only one that speaks its HTTP API."""
