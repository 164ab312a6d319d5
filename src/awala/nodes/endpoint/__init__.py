# SPDX-License-Identifier: MIT
"""The endpoints: where apps and services meet the network."""
