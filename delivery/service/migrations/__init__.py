"""The history of the tables, one for SQLite and PostgreSQL; `Database.upgrade` runs it.

After a change of `delivery.service.tables`, ``python -m delivery.service.migrations "what changed"`` writes the next
step into ``versions``; read it, and give new columns a server default where rows may exist.
"""
