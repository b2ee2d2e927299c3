"""A recorded run again: one process alone from its inputs, the interleaving enforced, other interleavings explored."""
