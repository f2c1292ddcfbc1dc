"""cambist: an institutional crypto market as one program.

One log holds every decision and every fact acted on; state, feeds, reports and recovery are functions of it.
This file decides the version and nothing else; importing the package must stay free of Numba, sockets and clocks.
"""

__version__ = "0.1.0"
