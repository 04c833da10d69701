"""Shared by every folder: errors, files, text for people, the machine, HTTP. Imports no other folder."""
