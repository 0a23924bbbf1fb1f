"""What happens in the city beside its ordinary traffic: incidents that rules have to find, and what only looks so."""
