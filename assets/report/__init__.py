"""The report: how a span of days went and what is open at its end, as one page or a PDF.

`selection` says what is asked for, `figures` what there is to say about it, `charts` draws it, and
`page` and `pdf` make the file. Nothing but the lake and the selection goes into it.
"""
