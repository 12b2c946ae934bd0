"""Problems over time: what became of each one, what people decided about it, and what that allows.

An issue that is seen again and again is one problem, known by its fingerprint. `state` keeps what
is known as of a day, `relation` answers it as SQL, `update` brings it up to date.
"""
