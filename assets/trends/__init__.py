"""How it goes: figures by day, week or month, of each plugin and of all together.

`figures.read` answers everything at once; `periods`, `categories` and `standing` are its parts.
Every figure is worked out from what is stored now, so runs of other days change none of them, but
for what follows from a run that comes late (docs/trends.md).
"""
