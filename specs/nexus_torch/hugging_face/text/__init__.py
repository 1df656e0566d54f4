"""Tokenizers: what their files may say, and texts, prompts, conversations and languages as they were taught."""
