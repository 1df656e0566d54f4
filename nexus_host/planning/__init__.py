"""Planning: units, their fingerprints, what is cached and why the rest is not, what it will take."""

from .plan import Plan, Task, make_plan

__all__ = ["Plan", "Task", "make_plan"]
