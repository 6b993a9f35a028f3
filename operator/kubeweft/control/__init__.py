"""What the user declares, and what is reported back: TracingPolicy and LinkRule objects in, a plan and conditions out.

``declared`` reads the specs and Secrets, ``compiling`` makes the plan of all policies and rules and a verdict on each,
``judging`` says it in the words of Kubernetes: all of it pure but the reading of Secrets. ``watching`` holds what Kopf
calls, in a thread of its own, and ``admission`` what the API server asks before it stores. ``declarations`` holds what
has been declared; ``reporting`` writes the status and ``sweeping`` finds what a watch does not tell.
"""
