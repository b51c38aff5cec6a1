"""A plan or report in, text out. The view masks; everything else formats the view.

What belongs here: words, symbols, colours, widths. What does not: decisions.
Nothing here may be told a secret, so nothing here can leak one.
"""
