"""Turns what the verbs return into text. Pure: prints nothing, asks no engine, reads no file."""
