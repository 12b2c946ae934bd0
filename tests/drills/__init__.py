"""What docs/operations.md says to do when something breaks, done."""
