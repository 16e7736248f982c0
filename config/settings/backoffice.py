"""How the admin looks and what stands in its sidebar: what staff do all day first, the machinery last."""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _


def _list(title: Any, icon: str, model: str) -> dict[str, Any]:
    """Return the sidebar entry of a model's list, seen by whoever may view it."""
    app, name = model.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": lambda request: request.user.has_perm(f"{app}.view_{name}"),
    }


def _tabs(model: str, *piles: tuple[Any, str]) -> dict[str, Any]:
    """Return the piles above a model's list: each a title and the query that shows it."""
    app, name = model.split(".")
    address = reverse_lazy(f"admin:{app}_{name}_changelist")

    def pile(title: Any, query: str) -> dict[str, Any]:
        key, _equals, value = query.partition("=")
        wanted = {parameter.partition("=")[0] for _title, parameter in piles} - {""}
        return {
            "title": title,
            "link": lambda request: f"{address}?{query}" if query else str(address),
            "active": lambda request: (
                request.GET.get(key) == value if query else not wanted & request.GET.keys()
            ),
        }

    return {"models": [model], "items": [pile(title, query) for title, query in piles]}


def _group(title: Any, *items: dict[str, Any], folded: bool = False) -> dict[str, Any]:
    return {"title": title, "separator": True, "collapsible": folded, "items": list(items)}


NAVIGATION = [
    _group(
        "",
        {"title": _("Today"), "icon": "wb_twilight", "link": reverse_lazy("admin:index")},
        {
            **_list(_("Orders"), "package_2", "orders.order"),
            # reports stand below the list's address and have entries of their own
            "active": lambda request: (
                "/orders/order/" in request.path
                and not request.path.endswith(("/taxes/", "/picking/", "/parcels/", "/figures/"))
            ),
        },
        {
            "title": _("Picking list"),
            "icon": "checklist",
            "link": reverse_lazy("admin:orders_order_picking"),
            "permission": lambda request: request.user.has_perm("orders.view_order"),
        },
        {
            "title": _("Ship many"),
            "icon": "local_shipping",
            "link": reverse_lazy("admin:orders_order_parcels"),
            "permission": lambda request: request.user.has_perm("orders.change_order"),
        },
        {
            "title": _("What orders came to"),
            "icon": "monitoring",
            "link": reverse_lazy("admin:orders_order_figures"),
            "permission": lambda request: request.user.has_perm("orders.view_order"),
        },
        _list(_("Returns"), "assignment_return", "orders.returnrequest"),
        _list(_("Refunds"), "undo", "orders.refundrequest"),
        _list(_("Carts"), "shopping_basket", "cart.cart"),
        _list(_("Abandoned carts"), "sailing", "cart.abandonedcart"),
    ),
    _group(
        _("Goods"),
        _list(_("Products"), "inventory_2", "inventory.product"),
        _list(_("SKUs"), "qr_code_2", "inventory.variant"),
        _list(_("Categories"), "category", "inventory.category"),
        _list(_("Bundles"), "deployed_code", "inventory.bundle"),
        {
            **_list(_("Stock"), "shelves", "inventory.stocklevel"),
            # the figures stand below the list's address and have an entry of their own
            "active": lambda request: (
                "/inventory/stocklevel/" in request.path and not request.path.endswith("/figures/")
            ),
        },
        {
            "title": _("Stock figures"),
            "icon": "monitoring",
            "link": reverse_lazy("admin:inventory_stocklevel_figures"),
            "permission": lambda request: request.user.has_perm("inventory.view_stocklevel"),
        },
        _list(_("Movements"), "swap_vert", "inventory.stockmovement"),
        _list(_("Holds"), "front_hand", "inventory.reservation"),
        _list(_("Waiting customers"), "hourglass_top", "inventory.backinstockrequest"),
        _list(_("Warehouses"), "warehouse", "inventory.warehouse"),
        _list(_("Outside systems"), "cable", "inventory.source"),
        _list(_("Messages from outside"), "input", "inventory.sourcemessage"),
        _list(_("Stock drifts"), "rule", "inventory.stockdrift"),
        _list(_("Import and export"), "upload_file", "inventory.importrun"),
    ),
    _group(
        _("Prices"),
        {
            **_list(_("Prices"), "sell", "pricing.price"),
            # the desk stands below the list's address and has an entry of its own
            "active": lambda request: (
                "/pricing/price/" in request.path
                and "/price/desk/" not in request.path
                and "/price/bulk/" not in request.path
            ),
        },
        {
            "title": _("Price desk"),
            "icon": "price_change",
            "link": reverse_lazy("admin:pricing_price_desk_find"),
            "active": lambda request: "/pricing/price/desk/" in request.path,
            "permission": lambda request: request.user.has_perm("pricing.view_price"),
        },
        {
            "title": _("Change many prices"),
            "icon": "price_check",
            "link": reverse_lazy("admin:pricing_price_bulk"),
            "permission": lambda request: request.user.has_perms(
                ["pricing.view_price", "pricing.change_price"]
            ),
        },
        _list(_("Promotions"), "local_offer", "pricing.promotion"),
        _list(_("Batches of codes"), "confirmation_number", "pricing.couponbatch"),
        _list(_("Exchange rates"), "currency_exchange", "pricing.exchangerate"),
        _list(_("Tax rates"), "account_balance", "pricing.taxrate"),
        _list(_("Bundle prices"), "sell", "pricing.bundleprice"),
        {
            **_list(_("Shipping zones"), "public", "pricing.shippingzone"),
            "active": lambda request: (
                "/pricing/shippingzone/" in request.path and not request.path.endswith("/try/")
            ),
        },
        {
            "title": _("Try an address"),
            "icon": "pin_drop",
            "link": reverse_lazy("admin:pricing_shippingzone_try"),
            "permission": lambda request: request.user.has_perm("pricing.view_shippingzone"),
        },
        _list(_("Shipping prices"), "local_shipping", "pricing.shippingrule"),
        _list(_("Special prices"), "percent", "pricing.specialprice"),
        _list(_("Customer groups"), "groups", "pricing.customergroup"),
        {
            **_list(_("Price history"), "history", "pricing.pricechange"),
            "active": lambda request: (
                "/pricing/pricechange/" in request.path and not request.path.endswith("/report/")
            ),
        },
        {
            "title": _("How prices moved"),
            "icon": "monitoring",
            "link": reverse_lazy("admin:pricing_pricechange_report"),
            "permission": lambda request: request.user.has_perm("pricing.view_pricechange"),
        },
        _list(_("Uses of codes"), "redeem", "pricing.promotionuse"),
        _list(_("Price disputes"), "gavel", "pricing.pricedispute"),
        _list(_("Points of customers"), "loyalty", "pricing.loyaltyaccount"),
        _list(_("Tiers"), "stairs", "pricing.loyaltytier"),
        _list(_("What points are worth"), "tune", "pricing.loyaltyprogram"),
    ),
    _group(
        _("Money"),
        _list(_("Payments"), "payments", "checkout.payment"),
        {
            "title": _("Tax report"),
            "icon": "receipt_long",
            "link": reverse_lazy("admin:orders_order_taxes"),
            "permission": lambda request: request.user.has_perm("orders.view_order"),
        },
        _list(_("Checkouts"), "shopping_cart_checkout", "checkout.checkout"),
        _list(_("Provider events"), "webhook", "checkout.webhookinbox"),
        _list(_("Both books"), "balance", "checkout.reconciliationrun"),
        _list(_("Differences"), "rule", "checkout.reconciliationfinding"),
    ),
    _group(
        _("As Stripe has it"),
        _list(_("Payment intents"), "credit_card", "djstripe.paymentintent"),
        _list(_("Charges"), "credit_score", "djstripe.charge"),
        _list(_("Refunds at Stripe"), "undo", "djstripe.refund"),
        _list(_("Disputes"), "gavel", "djstripe.dispute"),
        _list(_("Stripe's events"), "webhook", "djstripe.event"),
        folded=True,
    ),
    _group(
        _("People"),
        _list(_("Users"), "group", "platform.user"),
        _list(_("Groups"), "badge", "auth.group"),
        _list(_("Sign-ins"), "key", "platform.loginsession"),
        _list(_("Wrong passwords"), "lock", "axes.accessattempt"),
        _list(_("Messages"), "mail", "notifications.notification"),
        _list(_("No reminders to"), "unsubscribe", "notifications.suppression"),
    ),
    _group(
        _("Running the shop"),
        _list(_("Cart settings"), "tune", "cart.cartpolicy"),
        _list(_("Switches"), "toggle_on", "platform.featureflag"),
        _list(_("Companies"), "store", "inventory.company"),
        _list(_("Timetable"), "calendar_month", "django_celery_beat.periodictask"),
        {
            **_list(_("Job runs"), "schedule", "platform.jobrun"),
            "active": lambda request: (
                "/platform/jobrun/" in request.path and not request.path.endswith("/performance/")
            ),
        },
        {
            "title": _("How quick it answers"),
            "icon": "speed",
            "link": reverse_lazy("admin:platform_jobrun_performance"),
            "permission": lambda request: request.user.has_perm("platform.view_jobrun"),
        },
        _list(_("Alerts"), "notification_important", "platform.alert"),
        _list(_("Events"), "outbox", "platform.outboxevent"),
        _list(_("Audit"), "policy", "platform.auditentry"),
        folded=True,
    ),
]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Holdfast",
    "SITE_HEADER": "Holdfast",
    "SITE_URL": "/",
    "SITE_ICON": {
        "light": lambda request: static("brand/logo.svg"),
        "dark": lambda request: static("brand/logo-night.svg"),
    },
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("brand/favicon.svg"),
        }
    ],
    "STYLES": [lambda request: static("css/backoffice.css")],
    "DASHBOARD_CALLBACK": "notifications.dashboard.today",
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "show_all_applications": False,  # everything stands in the list already
        "navigation": NAVIGATION,
    },
    "TABS": [
        _tabs(
            "orders.order",
            (_("All"), ""),
            (_("To send"), "work=send"),
            (_("On their way"), "work=under_way"),
            (_("Need attention"), "work=attention"),
            (_("Waiting for payment"), "work=unpaid"),
        ),
        _tabs(
            "inventory.stocklevel",
            (_("All"), ""),
            (_("Running low"), "stock=low"),
            (_("None left"), "stock=out"),
            (_("Owed"), "stock=owed"),
        ),
        _tabs(
            "inventory.backinstockrequest",
            (_("In line"), ""),
            (_("Kept for them"), "line=kept"),
            (_("Ended"), "line=ended"),
        ),
        _tabs(
            "orders.returnrequest",
            (_("All"), ""),
            (_("To decide"), "status__exact=REQUESTED"),
            (_("On their way back"), "status__exact=APPROVED"),
        ),
        _tabs(
            "orders.refundrequest",
            (_("All"), ""),
            (_("Due"), "status__exact=due"),
            (_("Failed"), "status__exact=failed"),
        ),
        _tabs(
            "checkout.payment",
            (_("All"), ""),
            (_("Collect within two days"), "work=collect"),
            (_("Answer a dispute"), "work=evidence"),
        ),
        _tabs(
            "checkout.reconciliationfinding",
            (_("All"), ""),
            (_("Open"), "state__exact=OPEN"),
            (_("Explained"), "state__exact=EXPLAINED"),
        ),
    ],
    # The shop's own ground, ink and kelp.
    "COLORS": {
        "base": {
            "50": "#faf8f3",
            "100": "#f2efe8",
            "200": "#e4e0d6",
            "300": "#cdc9be",
            "400": "#919b99",
            "500": "#5d6d70",
            "600": "#46575b",
            "700": "#334448",
            "800": "#1d2f35",
            "900": "#14262b",
            "950": "#0e1a1f",
        },
        "primary": {
            "50": "#f0f7f4",
            "100": "#ddebe4",
            "200": "#bcd7cb",
            "300": "#92bdac",
            "400": "#5f9a86",
            "500": "#3c7f6b",
            "600": "#1f5d50",
            "700": "#1a4e44",
            "800": "#163f38",
            "900": "#12332e",
            "950": "#0a1f1c",
        },
    },
}
