"""The report of a comparison: one page that needs no network and no script.

``frames``  which moments are shown, and their pictures
``curves``  quality over time, drawn
``page``    the page
"""
