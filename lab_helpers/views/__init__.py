"""Pictures: pure functions from data, as the API returns it, to SVG with a text alternative. They know no cluster.

Teaching calls them and shows what they return; nothing here reads, waits or prints.
"""

from lab_helpers.views.answers import Answer, answers_over_time
from lab_helpers.views.cluster_map import cluster_map
from lab_helpers.views.history import History
from lab_helpers.views.image_layers import image_layers
from lab_helpers.views.live import Live
from lab_helpers.views.node_fill import node_fill
from lab_helpers.views.packing import Coming, packing
from lab_helpers.views.picture import Picture
from lab_helpers.views.purchases import Machine, Purchase, side_by_side
from lab_helpers.views.scaling import Sample, scaling
from lab_helpers.views.scores import scores
from lab_helpers.views.sequence import sequence
from lab_helpers.views.spread import spread
from lab_helpers.views.timeline import timeline
from lab_helpers.views.token_path import token_path
from lab_helpers.views.vpc_map import vpc_map

__all__ = [
    "Answer",
    "Coming",
    "History",
    "Live",
    "Machine",
    "Picture",
    "Purchase",
    "Sample",
    "answers_over_time",
    "cluster_map",
    "image_layers",
    "node_fill",
    "packing",
    "scaling",
    "scores",
    "sequence",
    "side_by_side",
    "spread",
    "timeline",
    "token_path",
    "vpc_map",
]
