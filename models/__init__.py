"""Everything that needs torch: encoders, the anomaly classifier, their training and artefacts."""
