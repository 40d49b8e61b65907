"""Map features: made, written and read in any vector format, file or table."""
