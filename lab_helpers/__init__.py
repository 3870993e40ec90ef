"""EKS Lab: what notebooks import."""
