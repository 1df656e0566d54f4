"""How the teachers were made: seeded recipes, small enough for one CPU core. Needs the extra [train]."""
