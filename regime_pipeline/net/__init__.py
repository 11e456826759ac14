"""What crosses the border of this machine, whatever it means: secrets, headers, files of others.

Belongs here: redaction, HTTP header values, making HTTP clients, opening foreign files safely. Does not
belong here: providers.
"""
