"""The command line: parse, call one verb, render, exit code. The only room that prints."""
