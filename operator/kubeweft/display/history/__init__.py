"""One object over time: its versions field by field, who wrote what, and its rollouts side by side."""
