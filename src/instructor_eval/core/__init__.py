"""What every room uses: errors, files, text for people, the machine, HTTP. Nothing of ours is imported here."""
