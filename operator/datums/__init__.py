"""Datums: runs executions on Kubernetes and versions every file they load or save."""

__version__ = "0.1.0"
