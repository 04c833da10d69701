"""Studies: what ordinary scores say of an instruction, a chunk size, a domain."""
