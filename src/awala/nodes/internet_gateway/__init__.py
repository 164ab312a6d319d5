# SPDX-License-Identifier: MIT
"""The Internet gateway: serves private gateways, couriers and other Internet hosts."""
