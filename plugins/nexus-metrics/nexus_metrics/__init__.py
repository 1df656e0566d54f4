"""Metrics that several towers share."""
