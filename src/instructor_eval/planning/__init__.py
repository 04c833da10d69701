"""What a run would encode, how long it would take, and what it could detect."""
