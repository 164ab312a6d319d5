# SPDX-License-Identifier: MIT
"""The courier: carries cargo where there is no Internet."""
