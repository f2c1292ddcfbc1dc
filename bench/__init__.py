"""Benchmarks against programs that are not ours. Nothing of them is here, and nothing here builds them."""
