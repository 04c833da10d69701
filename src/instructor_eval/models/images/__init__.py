"""Models with a tower for texts and one for pictures: CLIP, SigLIP, and what open_clip has. See docs/images.md."""
