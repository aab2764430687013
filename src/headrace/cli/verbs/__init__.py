"""One module per family of verbs; parsing flags and showing failures is the command's."""
