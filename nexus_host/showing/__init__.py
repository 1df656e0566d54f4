"""Showing: the board behind status.json and its readers (live view, plain lines); the plan, artefacts, results."""
