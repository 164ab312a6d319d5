# SPDX-License-Identifier: MIT
"""The nodes: private gateway, Internet gateway, courier and endpoint, each with its rules."""
