"""Sequential Layer Ingestion: the engine that runs checkpoints."""
