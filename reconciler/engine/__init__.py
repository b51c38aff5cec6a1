"""Make it so, and be able to say what happened.

What belongs here: the use cases, and the order in which state, journal and
platforms are asked and told. What does not: how a platform talks (providers),
what a plan looks like (render), what the user typed (cli). Start reading at
`reconciler.engine.stack`.
"""
