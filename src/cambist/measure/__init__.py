"""The measures: what the benches run, each beside the machine's own floor for the same work."""
