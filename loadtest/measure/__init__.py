"""What ./tidegate bench measures: one file for each thing measured, and what those share."""
