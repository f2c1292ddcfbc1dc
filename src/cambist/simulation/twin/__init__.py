"""The twin: docs/rules.md once more, slow and obvious, in dicts and dataclasses. It was written from the rules and never from the kernel."""
from cambist.simulation.twin.twin import Twin

__all__ = ["Twin"]
