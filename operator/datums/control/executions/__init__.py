"""An Execution, from its spec to verified datums.

attempt, command, template, users, pods, resolve    pure: what an attempt's pod and plan are
progress, verdict, status, plan                     pure: what is to be said and done
lookup, children, verify, reconciler                what reads and writes
"""

from datums.control.executions.reconciler import ExecutionReconciler

__all__ = ["ExecutionReconciler"]
