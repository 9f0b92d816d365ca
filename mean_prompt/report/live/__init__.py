"""The live page: a server that shows a run's page while the search goes on.

It loads neither model nor study, so that it is light, and is a process of its own, so that it
outlives the search however that ends.
"""
