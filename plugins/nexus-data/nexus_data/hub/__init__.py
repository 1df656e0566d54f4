"""Data sets on the Hugging Face hub: a catalogue of known ones, and a reader that fetches any of them."""
