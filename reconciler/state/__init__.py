"""What must survive a crash: the state, the journals of runs, the lock.

What belongs here: bytes on stable storage and what they mean. What does not:
what a plan should do (core), when to call a platform (engine). Nothing here
asks a platform anything.
"""
