# SPDX-License-Identifier: MIT
"""Certificates of nodes: read, issued, and traced to an anchor."""

from awala.pki import lifetimes
from awala.pki.caches import clear_caches
from awala.pki.certificate import MAX_CERTIFICATE_OCTETS, Certificate
from awala.pki.certification_path import CertificationPath, PathForm
from awala.pki.errors import CertificateError, PathError, PathProblem, PkiError
from awala.pki.issuance import Role, issue, issue_now
from awala.pki.lifetimes import BACKDATING, CLOCK_TOLERANCE, GATEWAY_LIFE
from awala.pki.paths import DEFAULT_POLICY, MAX_INTERMEDIATES, PathPolicy, build_path
from awala.pki.rate_limit import RateLimit

__all__ = [
    "BACKDATING",
    "CLOCK_TOLERANCE",
    "DEFAULT_POLICY",
    "GATEWAY_LIFE",
    "MAX_CERTIFICATE_OCTETS",
    "MAX_INTERMEDIATES",
    "Certificate",
    "CertificateError",
    "CertificationPath",
    "PathError",
    "PathForm",
    "PathPolicy",
    "PathProblem",
    "PkiError",
    "RateLimit",
    "Role",
    "build_path",
    "clear_caches",
    "issue",
    "issue_now",
    "lifetimes",
]
