"""The words of the product: labels with their colours, numbers and instants as people read them.

Belongs here: what terminal, report, dashboard and alerts say in the same way. Light: nothing here
imports pandas, so that a server can start at once. Does not belong here: layout, what a row holds.
"""
