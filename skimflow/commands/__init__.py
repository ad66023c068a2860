"""The commands, one module each: read the options, call the Python interface, print the result."""
