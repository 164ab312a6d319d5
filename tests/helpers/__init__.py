# SPDX-License-Identifier: MIT
"""What several test modules share."""
