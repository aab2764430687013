"""Small protocols between the use cases and the world."""
