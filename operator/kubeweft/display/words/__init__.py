"""How things are called: times, names, headlines. The same words in the terminal, in Jaeger and in JSON."""
