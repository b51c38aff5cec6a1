"""Talk to one forge each: where pull and merge requests, comments and issues are.

What belongs here: their REST APIs, what their pipelines say in variables, and
how something of ours on a forge is found again and kept to one of each. What
does not: what a comment says of a plan (`render`), and which plan (`cli`).

It knows the core, and of the providers the one door to HTTP.
"""
