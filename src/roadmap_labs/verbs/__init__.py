"""What each command does, from the assembled parts to a value that can be rendered. Prints nothing."""
