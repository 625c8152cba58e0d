"""What a run was: summary, report, explanation of one sample, and an estimate before it starts."""
