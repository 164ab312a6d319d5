# SPDX-License-Identifier: MIT
"""Awala: messages between apps, with and without the Internet."""
