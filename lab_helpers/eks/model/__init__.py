"""EKS as the account sees it: moto's EKS, EC2, Auto Scaling and CloudFormation with what they lack, on real clusters.

The service of `lab_helpers.eks` calls `install()` before moto answers anything and `resume()` after it has read a saved
state, then `warm()`; `published` is what its clusters tell everybody. Nobody else reaches into this room.
"""

from __future__ import annotations

from lab_helpers.eks.model.installed import install, resume, stop, warm
from lab_helpers.eks.model.issuer import published

__all__ = ["install", "published", "resume", "stop", "warm"]
