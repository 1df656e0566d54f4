"""The stages that put a student together: route, assemble, release."""
