# SPDX-License-Identifier: MIT
"""The private gateway: the door of a device to the network."""
