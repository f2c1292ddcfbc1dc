"""The auditor: a second book-keeping, written from docs/rules.md and from nothing else, of what went in and what was told. See `auditor.py`."""
