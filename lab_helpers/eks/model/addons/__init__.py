"""Add-ons: what there is (catalog.yaml and one file of objects for each), what a cluster has of them, how they change.

`operations` answers the API; `objects` makes and applies the Kubernetes objects; `catalog` knows versions and settings.
"""
