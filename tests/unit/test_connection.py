"""TLS modes mean what they mean to MySQL's own client."""

from __future__ import annotations

import ssl

import pytest

from cdc.capture.connection import tls_options
from cdc.capture.source_settings import Tls, TlsMode


@pytest.mark.parametrize(
    ("mode", "verify", "checks_name"),
    [
        ("required", ssl.CERT_NONE, False),
        ("verify_ca", ssl.CERT_REQUIRED, False),
        ("verify_identity", ssl.CERT_REQUIRED, True),
    ],
)
def test_a_mode_says_what_is_verified(
    mode: TlsMode, verify: ssl.VerifyMode, checks_name: bool
) -> None:
    context = tls_options(Tls(mode))["ssl"]
    assert (context.verify_mode, context.check_hostname) == (verify, checks_name)
    # The certificates that MySQL makes for itself don't pass the strict form.
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_preferred_leaves_the_choice_to_the_server_and_disabled_asks_for_none() -> None:
    assert tls_options(Tls("preferred")) == {}
    assert tls_options(Tls("disabled")) == {"ssl_disabled": True}
