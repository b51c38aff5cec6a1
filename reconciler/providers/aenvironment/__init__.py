"""AEnvironment: environments of an EnvHub, services of an api-service.

Here belongs what knows this vendor: its wire, its kinds, its specs, and the
platform as an app of our own in ``emulator``. Nothing outside this folder
imports anything but what this module exports.
"""
