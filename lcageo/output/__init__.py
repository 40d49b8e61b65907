"""Writing: map features in any vector format, and pictures to look at."""
