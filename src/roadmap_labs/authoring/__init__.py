"""What an author of labs needs: lint looks at the files, prove at what they do. Prints nothing."""
