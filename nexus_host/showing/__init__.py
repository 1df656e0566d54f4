"""Showing: the live view, plain lines, tables, the plan, artefacts and runs in words."""
