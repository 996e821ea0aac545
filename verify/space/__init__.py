"""State spaces: which markings a net can reach, as few of them as a property needs."""
