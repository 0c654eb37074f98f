"""Benchmarks: each prints what it measured, on the same work, beside a peer in the same run."""
