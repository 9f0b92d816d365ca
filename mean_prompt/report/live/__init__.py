"""The live page: a process of its own that serves a run's page while the run goes on.

It loads neither model nor study, so that it is light; it outlives the search, however that ends.
"""
