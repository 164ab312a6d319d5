# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from awala.asn1 import der, parse
from awala.base.errors import AwalaError
from awala.pki import CertificateError, CertificationPath, PathForm
from helpers.cast import certificate, chain
from helpers.mutations import mutations
from helpers.vectors import STACKS, vector

FORMS = {"js": PathForm.RS002, "jvm": PathForm.KOTLIN}


@pytest.mark.parametrize("stack", STACKS)
def test_reads_and_writes_the_rotations_of_both_stacks(stack):
    data = vector(stack, "rotation")[7:]
    path = CertificationPath.parse(data)
    assert path.leaf == certificate(stack, "pgwCert")
    assert path.authorities == (certificate(stack, "igwCert"),)
    assert path.chain == (path.leaf, *path.authorities)
    assert path.serialize(FORMS[stack]) == data


@pytest.mark.parametrize("form", PathForm)
def test_reads_back_what_it_wrote(form):
    leaf, *authorities = chain("js")
    path = CertificationPath(leaf, tuple(authorities))
    assert CertificationPath.parse(path.serialize(form) + b"rest") == path
    assert CertificationPath.parse(CertificationPath(leaf).serialize(form)) == CertificationPath(leaf)
    other_tag = parse(der.implicit(5, path.serialize_content(form), constructed=True))
    assert CertificationPath.from_element(other_tag) == path


def test_the_form_of_rs_002_is_the_default():
    path = CertificationPath(certificate("js", "pda"))
    assert path.serialize() == path.serialize(PathForm.RS002)
    assert path.serialize() != path.serialize(PathForm.KOTLIN)


def test_further_fields_are_ignored():
    leaf = certificate("js", "pda")
    content = CertificationPath(leaf).serialize_content()
    assert CertificationPath.parse(der.sequence(content, der.null())).leaf == leaf


LEAF = certificate("js", "pda").encoding


@pytest.mark.parametrize(
    "data",
    [
        b"",
        der.null(),
        der.sequence(),
        der.set_of(der.implicit(0, LEAF), der.explicit(1)),
        der.sequence(der.implicit(0, LEAF)),
        der.sequence(der.implicit(0, LEAF), der.null()),
        der.sequence(der.implicit(2, LEAF), der.explicit(1)),
        der.sequence(der.implicit(0, b"x"), der.explicit(1)),
        der.sequence(der.implicit(0, LEAF, constructed=True), der.explicit(1)),
        der.sequence(der.implicit(0, LEAF), der.explicit(1, der.null())),
        der.sequence(der.implicit(0, LEAF), der.explicit(1, der.octet_string(b"x"))),
        der.sequence(der.implicit(0, LEAF), der.explicit(1, *[der.octet_string(LEAF)] * 17)),
    ],
)
def test_refuses_what_is_no_path(data):
    with pytest.raises(CertificateError):
        CertificationPath.parse(data)


@pytest.mark.parametrize("stack", STACKS)
def test_damaged_paths_are_read_or_refused(stack):
    refused = 0
    for damaged in mutations(vector(stack, "rotation")[7:], 500):
        try:
            CertificationPath.parse(damaged)
        except AwalaError:
            refused += 1
    assert refused > 30
