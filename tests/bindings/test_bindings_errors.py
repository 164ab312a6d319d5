# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from awala.base.errors import AwalaError, StorageFullError
from awala.bindings import errors


@pytest.mark.parametrize(
    ("error", "retryable", "status"),
    [
        (errors.UnreachableError("m"), True, None),
        (errors.ServerError("m", status=503, retry_after=5), True, 503),
        (errors.RefusedError("m", status=403), False, 403),
        (errors.MalformedError("m", status=400), False, 400),
        (errors.UnauthenticatedError("m"), False, 401),
        (errors.ProtocolError("m"), True, None),
    ],
)
def test_what_clients_raise_says_whether_to_try_again(error, retryable, status):
    assert isinstance(error, errors.BindingError)
    assert error.retryable is retryable
    assert getattr(error, "status", None) == status
    assert error.advice


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.MalformedRequest, 400),
        (errors.Unauthenticated, 401),
        (errors.Forbidden, 403),
        (errors.Unprocessable, 422),
        (errors.TemporarilyUnavailable, 503),
    ],
)
def test_what_services_raise_knows_its_answer(kind, status):
    assert issubclass(kind, AwalaError)
    assert not issubclass(kind, errors.BindingError)
    assert kind("m").status == status


def test_full_is_the_error_of_the_store():
    assert errors.Full is StorageFullError
