"""A real Kubernetes on this machine from packages alone: `python3 -m testbed up`. Needs nothing but Python's standard library."""
