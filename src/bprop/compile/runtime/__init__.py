"""Programs at run time: executables, their cache on disk, the thread pool, calls back into Python, forked children."""
