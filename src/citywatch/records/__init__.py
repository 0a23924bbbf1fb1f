"""Raw records on their way from a source to the mappings: what both sides of that seam share."""
