"""Signal files of the replaced systems: reading and migrating them.

Belongs here: formats, mapping, the migration. Does not belong here: anything a new row is made of.
"""
