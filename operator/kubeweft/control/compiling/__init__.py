"""From what is declared to the plan in force, and a verdict on each declaration. Pure."""
