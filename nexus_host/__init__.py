"""nexus_host: finds plugins, reads the registry, plans, runs, stores, shows. It knows no model, modality or loss.

See first: `discovery/plugins.py` (what is installed), `registry/registry.py` (what the user wants),
`planning/` (what has to be done for it), `running/` (doing it), `cli/app.py` (the commands).
"""

__version__ = "0.1.0"
