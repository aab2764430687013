"""The content-addressed weights store and the ways weights are fetched."""
