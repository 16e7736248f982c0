"""Express checkout: off by default, and each wallet only with its credentials."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from config.platform import flags
from tests.checkout.conftest import Buyer
from tests.conftest import Api

pytestmark = pytest.mark.django_db

WALLETS = {
    "/cart/express/apple-pay/session": "apple-pay",
    "/cart/express/google-pay/session": "google-pay",
    "/cart/express/paypal/create-order": "paypal",
    "/cart/express/paypal/capture": "paypal",
}


@pytest.mark.parametrize("path", WALLETS)
def test_it_is_off_by_default_for_everybody(buyer: Buyer, path: str) -> None:
    for caller in (Api(), buyer.api):
        answer = caller.post(path, {})

        assert (answer.status_code, answer.json()["code"]) == (404, "FEATURE_DISABLED")
        assert answer.json()["extra"] == {"feature": "EXPRESS_CHECKOUT_ENABLED"}


@pytest.mark.parametrize(("path", "wallet"), WALLETS.items())
def test_the_switch_alone_is_not_enough(
    buyer: Buyer, path: str, wallet: str, staff: Any, now: datetime
) -> None:
    flags.switch(actor=staff, name="EXPRESS_CHECKOUT_ENABLED", enabled=True, now=now)
    flags.forget()

    answer = buyer.api.post(path, {})

    assert (answer.status_code, answer.json()["code"]) == (404, "FEATURE_DISABLED")
    assert answer.json()["extra"] == {"feature": wallet}
