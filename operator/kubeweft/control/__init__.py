"""What the user declares, and what is reported back: TracingPolicy and LinkRule objects in, a plan and conditions out.

``schema`` reads a spec, ``compiling`` makes the plan of all policies and a verdict on each, ``conditions`` and
``status`` say it in the words of Kubernetes: all of it pure. ``handlers`` are what Kopf calls, in the thread that
``operator_thread`` keeps; ``declarations`` holds what has been declared; ``reporting`` writes the status and
``sweeping`` finds what a watch does not tell.
"""
