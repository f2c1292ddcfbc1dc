"""The core: one truth, the deterministic state machine that turns logged commands into events."""
