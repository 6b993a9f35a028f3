"""What explains a deed: what was done, and by each rule one file that says what may follow from what."""
