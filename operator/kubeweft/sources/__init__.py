"""Where facts come in: the audit log (``audit``), Kubernetes Events (``events``) and watched objects (``objects``).

In each of them parsing is pure and input and output have files of their own. What leaves here is a value of
``model.observations``, redacted already: no later room may ever see a Secret value.
"""
