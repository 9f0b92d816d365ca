"""The live page: a web server that shows a run's page while the search is running.

The server loads neither the model nor the Optuna study, so that it is light. It is a process of its
own, so that it outlives the search however the search ends.
"""
