"""Data contracts: the model, reading and checking them, drafting one from a sample, their rules as a detector."""
