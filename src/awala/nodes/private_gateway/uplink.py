# SPDX-License-Identifier: MIT
"""The on-line exchange with Internet gateways: parcels out as they come, parcels in as they wait."""

from __future__ import annotations

import asyncio

from awala.base.clock import Clock
from awala.bindings.errors import RefusedError
from awala.nodes.background import first_of
from awala.nodes.backoff import INTERNET_WAIT, Backoff
from awala.nodes.events import EventHub, Way
from awala.nodes.handover import Handover
from awala.nodes.lanes import UPLINK
from awala.nodes.private_gateway.credentials import Credentials, InternetGatewayPeer
from awala.nodes.private_gateway.incoming import Incoming
from awala.nodes.private_gateway.link import Link
from awala.nodes.private_gateway.pairing import Connect, Pairing
from awala.nodes.quarantine import Quarantine
from awala.nodes.renewal import CHECK_INTERVAL, Renewal
from awala.spool.model import Item, Kind
from awala.spool.port import Spool


class Uplink:
    """Keeps in touch with the paired Internet gateway, and with former ones until all is settled."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        pairing: Pairing,
        connect: Connect,
        spool: Spool,
        incoming: Incoming,
        quarantine: Quarantine,
        clock: Clock,
        events: EventHub,
    ) -> None:
        self._credentials = credentials
        self._pairing = pairing
        self._connect = connect
        self._incoming = incoming
        self._clock = clock
        self._backoff = Backoff(first=INTERNET_WAIT)
        self._links: dict[InternetGatewayPeer, Link] = {}
        self._renewal = Renewal(
            clock,
            is_due=credentials.renewal_is_due,
            renew=lambda: self._link(credentials.peer).renew_if_due(),
            backoff=self._backoff,
        )
        self._handover = Handover(
            spool,
            UPLINK,
            self._deliver,
            clock=clock,
            events=events,
            way=Way.POWEB,
            backoff=self._backoff,
            quarantine=quarantine,
        )

    @property
    def online(self) -> bool:
        """Whether a collection from the paired Internet gateway is open at this moment."""
        peer = self._credentials.known_peer
        return peer is not None and self._link(peer).online

    @property
    def last_error(self) -> str:
        """Why there is no connection to the paired Internet gateway; empty while there is one."""
        peer = self._credentials.known_peer
        return self._link(peer).last_error if peer is not None else ""

    def kick(self) -> None:
        """Try at once, whatever the back-offs say."""
        for link in self._links.values():
            link.kick()
        self._handover.kick()
        self._renewal.kick()

    async def run(self) -> None:
        """Exchange until cancelled; begins once the private gateway is paired."""
        await self._credentials.paired.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._handover.run())
            group.create_task(self._renewal.run())
            group.create_task(self._keep_links())

    async def _keep_links(self) -> None:
        """Run a link to each Internet gateway that still has to do with us."""
        async with asyncio.TaskGroup() as group:
            tasks: dict[InternetGatewayPeer, asyncio.Task[None]] = {}
            while True:
                changed = self._credentials.changed()
                wanted = self._credentials.gateways(self._clock.now())
                for peer in wanted:
                    if peer not in tasks or tasks[peer].done():
                        tasks[peer] = group.create_task(self._link(peer).run())
                for peer in tasks.keys() - set(wanted):
                    tasks.pop(peer).cancel()
                    self._links.pop(peer, None)
                await first_of(changed.wait(), self._clock.sleep(CHECK_INTERVAL.total_seconds()))

    def _link(self, peer: InternetGatewayPeer) -> Link:
        if peer not in self._links:
            self._links[peer] = Link(
                peer,
                credentials=self._credentials,
                pairing=self._pairing,
                connect=self._connect,
                incoming=self._incoming,
                clock=self._clock,
                backoff=self._backoff,
                on_open=self._opened,
            )
        return self._links[peer]

    def _opened(self) -> None:
        self._handover.kick()
        self._renewal.kick()

    async def _deliver(self, item: Item, octets: bytes) -> None:
        """Hand an item over to the Internet gateway that it was meant for, or to the paired one.

        What was meant for a former gateway that cannot be reached goes by the paired one: recipients have
        Internet addresses, which any gateway can deliver to. Only a withdrawal concerns just the gateway
        that it is for, and is moot once no path leads through that one (decision 46).
        """
        paired, *former = self._credentials.gateways(self._clock.now())
        meant = next((peer for peer in former if peer.node_id == item.hop.name), None)
        is_for_paired = item.hop.name == paired.node_id
        if item.identity.kind is Kind.CONTROL and meant is None and not is_for_paired:
            raise RefusedError("our certificate from the former Internet gateway has ended")
        if meant is not None and (self._link(meant).online or item.identity.kind is Kind.CONTROL):
            await self._link(meant).deliver(item, octets)
        else:
            await self._link(paired).deliver(item, octets)
