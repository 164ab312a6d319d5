# SPDX-License-Identifier: MIT
"""Asks one DNS question over HTTPS: POST, wire format (RFC 8484)."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import httpx2

from awala.base.errors import ConfigurationError
from awala.bindings.addressing.errors import ResolverUnavailable
from awala.bindings.addressing.model import is_host
from awala.bindings.http_client import plain_client, read_at_most

MEDIA_TYPE: Final = "application/dns-message"

MAX_MESSAGE: Final = 65535
"""Octets of a DNS message (RFC 1035 §4.2.2)."""

QUERY_TIMEOUT: Final = 5.0
"""Seconds for one question, connecting included."""

MAX_CONNECTIONS: Final = 4
"""Connections to the resolver."""

_PADDING: Final = 128  # octets, so that lengths tell little (RFC 8467 §4.1)
_PAYLOAD: Final = 4096  # what the reference announces; without meaning over HTTPS

# What dnspython raises for octets that are no message.
_UNREADABLE: Final = (dns.exception.DNSException, ArithmeticError, LookupError, TypeError, ValueError)


class DohClient:
    """A connection to the configured resolver.

    The resolver is named by the configuration, not by a peer, so its own address is none of the egress
    policy's business.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext, timeout: float = QUERY_TIMEOUT) -> None:
        """Take the resolver's URL and how to authenticate it.

        Raises:
            ConfigurationError: the URL is not one of https; without TLS an AD flag means nothing.

        """
        try:
            parsed = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise ConfigurationError("[resolver] url is not a URL") from error
        if parsed.scheme != "https" or not is_host(parsed.host):
            raise ConfigurationError("[resolver] url must be an https URL")
        self._url = parsed
        self._timeout = timeout
        limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=1)
        transport = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)
        self._client = plain_client(transport, timeout=httpx2.Timeout(timeout))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, checking_disabled: bool = False
    ) -> dns.message.Message:
        """Return the resolver's answer, whose code is NOERROR or NXDOMAIN.

        Args:
            name: the absolute name to ask for.
            rdtype: the type of record.
            checking_disabled: whether the resolver may leave DNSSEC to us (RFC 4035 §3.2.2).

        Raises:
            ResolverUnavailable: no answer in time, not one to this question, or another code.

        """
        flags = dns.flags.RD | dns.flags.AD | (dns.flags.CD if checking_disabled else 0)
        query = dns.message.make_query(
            name, rdtype, id=0, flags=flags, use_edns=0, want_dnssec=True, payload=_PAYLOAD, pad=_PADDING
        )
        body = await self._exchange(query.to_wire())
        try:
            answer = dns.message.from_wire(body)
            fits = query.is_response(answer) and not answer.flags & dns.flags.TC
            code = answer.rcode()
        except _UNREADABLE as error:
            raise ResolverUnavailable("The resolver's answer is unreadable", name=name.to_text()) from error
        if not fits:
            raise ResolverUnavailable("The resolver answered another question", name=name.to_text())
        if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise ResolverUnavailable(f"The resolver failed ({dns.rcode.to_text(code)})", name=name.to_text())
        return answer

    async def _exchange(self, query: bytes) -> bytes:
        headers = {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream("POST", self._url, content=query, headers=headers) as response,
            ):
                if response.status_code != httpx2.codes.OK:
                    raise ResolverUnavailable(f"The resolver answered HTTP {response.status_code}")
                if response.headers.get("content-type") != MEDIA_TYPE:
                    raise ResolverUnavailable("The resolver's answer is no DNS message")
                body, complete = await read_at_most(response, MAX_MESSAGE)
        except TimeoutError as error:
            raise ResolverUnavailable("The resolver did not answer in time") from error
        except httpx2.HTTPError as error:
            raise ResolverUnavailable("The resolver cannot be reached") from error
        if not complete:
            raise ResolverUnavailable("The resolver's answer is too long")
        return body
