"""The name by which the package exports the cluster to embed on."""

from mean_prompt.system import Cluster

__all__ = ["Cluster"]
