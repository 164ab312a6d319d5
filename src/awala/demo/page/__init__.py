# SPDX-License-Identifier: MIT
"""The page that shows the network live."""

from awala.demo.page.live import open_live
from awala.demo.page.server import serve_page

__all__ = ["open_live", "serve_page"]
