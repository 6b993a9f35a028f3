"""Where spans are kept and found.

``interfaces`` says what every store can do; ``sqlite`` is the embedded one (its parts are in ``embedded``), which is
also the spool that exporters drain and the memory of how far each watch has come; ``writer`` lets asyncio tasks write
to it in groups.
"""
