"""Losses on what a model gives: its next-token distribution or its classes."""
