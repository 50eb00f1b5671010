"""Near-duplicates: the sketch, the view of the catalogue, the evidence, the decision, the owner of links."""
