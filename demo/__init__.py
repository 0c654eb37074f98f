"""The demo: two chained executions on a real Kubernetes, from nothing to files in a bucket."""
