"""The numeric forms of a network: how each is made from a checkpoint, and the proof that it is what ran."""
