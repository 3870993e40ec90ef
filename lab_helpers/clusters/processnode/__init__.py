"""Process nodes: Nodes whose Pods answer, each container one local process of the course's own programs.

`launch` is what the embedded provider calls; everything else runs in processes of its own: one agent a node (what a
kubelet does), its zygote (forks the containers), and one proxy a cluster (what kube-proxy and DNS do).
"""
