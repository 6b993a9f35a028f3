"""Stored spans → what a person sees. Nothing here changes what is stored.

The way of an answer: ``reading`` takes level after level out of a store and makes one raw ``tree``; ``extensions`` add
spans of other programs; ``steps``, put in order by ``views``, make it readable; ``writing`` makes text and JSON of it,
``answering`` spans, and ``serving`` sends those to trace viewers. ``words`` holds how things are called everywhere.
``history`` answers another question: how one object came from one version to another, and how two rollouts differ.
``stories`` is the entry to all of it.
"""
