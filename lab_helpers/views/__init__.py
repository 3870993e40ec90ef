"""Pictures: pure functions from data, as the API returns it, to SVG with a text alternative. They know no cluster.

Teaching calls them and shows what they return; nothing here reads, waits or prints.
"""

from lab_helpers.views.cluster_map import cluster_map
from lab_helpers.views.history import History
from lab_helpers.views.live import Live
from lab_helpers.views.node_fill import node_fill
from lab_helpers.views.picture import Picture
from lab_helpers.views.sequence import sequence
from lab_helpers.views.timeline import timeline

__all__ = ["History", "Live", "Picture", "cluster_map", "node_fill", "sequence", "timeline"]
