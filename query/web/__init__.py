"""The web page and its HTTP API: everything the page can do, any client can do.

    request ── guard.py (host, origin, size, headers) ── routes.py ── questions.py (parameters)
                                                            │
                     worker.py: one thread, a bounded queue, cancelled with its client
                                                            │
                                     query/finder.py, bitmap.py, odds.py, sheet.py, plot.py

starlette and uvicorn are the extra `web`, and imported here alone.
"""
