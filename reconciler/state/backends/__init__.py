"""Where states live: one file for each kind of place, one contract suite for all."""
