"""Measurements: `make bench` prints this machine's figures as ratios from one run; `make soak` looks for leftovers."""
