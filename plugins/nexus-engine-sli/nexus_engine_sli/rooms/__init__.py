"""Rooms: where weights live while a model runs: all of them here, as stored in RAM, or a unit at a time."""
