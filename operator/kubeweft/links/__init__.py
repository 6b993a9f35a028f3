"""How objects relate: pure functions from an object to the objects it names, one file per kind of rule."""
