"""Models: checkpoints and how they are run, numeric forms, served models."""
