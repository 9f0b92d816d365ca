"""Embed large corpora into folders of shards: files of prompts and files of their embeddings."""
