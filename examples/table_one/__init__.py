"""The parts of table1.py and alignment.py: runs, what their figures say, tables and pictures."""
