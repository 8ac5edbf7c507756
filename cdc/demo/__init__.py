"""The example shop and the demonstration of the whole pipeline on it."""
