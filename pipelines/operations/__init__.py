"""The nine operations behind one entry: a document in, an answer out, never an exception.

`dispatch.run` carries one out, `concurrency.process` does so beside an event loop.
"""
