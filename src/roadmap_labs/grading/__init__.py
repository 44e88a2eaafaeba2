"""Grades folders of submissions. Prints nothing."""
