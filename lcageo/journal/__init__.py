"""What a run has found so far: the outcomes of tiles, and the file that a killed run resumes from."""
