# SPDX-License-Identifier: MIT
"""Sample services, written only against the SDK."""
