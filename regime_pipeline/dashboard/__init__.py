"""The dashboard: pages for trader, quant and engineer over the same marts as the API.

Belongs here: pages, their charts, templates and the one stylesheet and script. Every page can be read
without JavaScript. Does not belong here: SQL (``api.query``), words and colours (``wording``). Light: no
pandas.
"""
