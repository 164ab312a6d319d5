# SPDX-License-Identifier: MIT
"""More than a certificate's life in some seconds; the soak ``year`` does the same for longer."""

from __future__ import annotations

import pytest

from helpers.year import Year

DAYS = 200


@pytest.mark.rule("2.5", "2.6", "2.7", "2.8", "2.9", "6.7", "7.4")
async def test_nothing_is_refused_while_all_certificates_and_keys_are_renewed():
    year = Year()
    await year.build()
    await year.live(DAYS)

    on_line, by_courier = year.here.renewals(), year.away.renewals()
    for renewals in (on_line, by_courier):
        assert renewals["internet gateway"] >= 6
        assert renewals["private gateway"] == renewals["endpoint"] >= 2
    assert by_courier["cda issuer"] >= 2
    assert len(year.published) >= 6
