# SPDX-License-Identifier: MIT

from __future__ import annotations

import pytest

from awala.demo import open_network
from awala.demo.page import open_live, serve_page
from helpers.chromium import Page, chromium

PHONE = 380
LINK_B = '.side[data-side="b"] .switch'
TEXTS_A = '.side[data-side="a"] .chat .other'
COURIER = "#courier-button"

UNNAMED = """[...document.querySelectorAll("button, input")].filter((control) =>
  !(control.getAttribute("aria-label") || control.textContent.trim())).length"""

FAINT = """(() => {
  const rgb = (text) => text.match(/[0-9.]+/g).map(Number);
  const light = (colour) => rgb(colour).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (one) => {
    for (let up = one; up; up = up.parentElement) {
      const colour = getComputedStyle(up).backgroundColor;
      if (rgb(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = [];
  for (const one of document.querySelectorAll("body *")) {
    if (![...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const both = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
    if ((both[0] + 0.05) / (both[1] + 0.05) < 4.5) faint.push(`${one.tagName}.${one.className}`);
  }
  return [...new Set(faint)];
})()"""


@pytest.fixture
async def page(tmp_path):
    async with chromium(tmp_path / "profile") as opened:
        yield opened


async def tab_to(page: Page, selector: str) -> None:
    for _ in range(20):
        if await page.value(f"document.activeElement.matches({selector!r})"):
            return
        await page.press("Tab")
    pytest.fail(f"the keyboard does not reach {selector}")


async def scheme(page: Page, name: str) -> None:
    await page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])


@pytest.mark.requires("chromium")
async def test_a_person_cuts_a_link_and_has_a_text_carried_by_the_keyboard_alone(page, tmp_path):
    async with (
        open_network(tmp_path / "network", lambda _line: None) as network,
        open_live(network) as live,
        serve_page(live, 0) as address,
    ):
        await live.introduce()
        await page.open(address)
        await page.until("document.querySelector('#connection').textContent === 'connected, live'")
        assert "token" not in await page.value("location.href")

        await tab_to(page, LINK_B)
        await page.press(" ")
        await page.until(f"document.querySelector('{LINK_B}').ariaChecked === 'false'")
        assert network.b.internet.is_cut
        await tab_to(page, '.side[data-side="b"] input')
        await page.type("by courier")
        await page.press("Enter")
        await page.until("document.querySelector('[data-message] small')?.textContent === 'on its way'")

        await tab_to(page, COURIER)
        await page.press("Enter")
        await page.until(f"document.querySelector('{TEXTS_A}')?.textContent === 'by courier'", seconds=30)
        await page.until("document.querySelector('[data-message] small').textContent === 'arrived'")
        assert await page.value(f"document.activeElement.matches('{COURIER}')"), "the focus was lost"
        steps = await page.value("document.querySelector('#messages').innerText")
        assert "safe at Courier" in steps
        assert await page.value("document.querySelector('#problem').hidden")

        assert await page.value(UNNAMED) == 0
        for width in (PHONE, 1280):
            await page.width(width)
            assert await page.value("document.documentElement.scrollWidth") <= width
        for name in ("light", "dark"):
            await scheme(page, name)
            assert await page.value(FAINT) == []

    assert page.complaints == []
