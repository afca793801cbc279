"""Where the process's memory comes from."""

import ctypes
import os

# <malloc.h>: the most arenas there may be.
_M_ARENA_MAX = -8
_ENVIRONMENT = "MALLOC_ARENA_MAX"


def share_one_heap() -> None:
    """Let all threads allocate from one heap; call it before there are any.

    glibc gives threads heaps of their own, eight for each core. What a connection needs is allocated by
    whichever of gRPC's threads is free and freed by another, so each heap keeps pages for the few pieces
    that are left in them: with every wave of ten thousand connections the server grew, to 575 MB after
    twenty, where with one heap it has 271 after the third and stays there.

    Whoever sets `MALLOC_ARENA_MAX` gets that. A C library that knows no such thing is left alone.
    """
    if _ENVIRONMENT in os.environ:
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_ARENA_MAX, 1)
