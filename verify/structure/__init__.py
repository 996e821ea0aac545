"""What the structure of a net shows without going through its markings."""
