"""The command line: parse, call a step, render. The only package that prints and reads the environment."""
