"""What pricing does for others."""

from pricing.services.alerts import (
    AlertTerms,
    alert_confirmation,
    alert_link,
    ask_for_price_alerts,
    confirm_price_alert,
    end_price_alert,
    end_price_alert_by_link,
    read_alert_confirmation,
    read_alert_link,
    subscribe_to_prices,
    tell_price_alerts,
)
from pricing.services.batches import batch_lines, create_batch, revoke_batch, set_batch_expiry
from pricing.services.codes import normalise_code
from pricing.services.disputes import (
    Disputed,
    check_decision,
    decide_dispute,
    lock_dispute,
    open_dispute,
)
from pricing.services.exchange import (
    RateTerms,
    announce_rates,
    set_exchange_rate,
    set_exchange_rates,
    withdraw_exchange_rate,
)
from pricing.services.exemptions import (
    change_exemption,
    enter_vat_number,
    grant_exemption,
    remove_exemption,
    remove_vat_number,
)
from pricing.services.exports import ProductExport, export_products
from pricing.services.groups import (
    change_group,
    create_group,
    delete_group,
)
from pricing.services.imports import ImportReport, import_products
from pricing.services.incentives import GivenCode, give_code
from pricing.services.loyalty import (
    Purchase,
    adjust_points,
    check_points,
    delete_tier,
    return_points,
    run_out_points,
    set_program,
    set_tier,
    settle_purchase,
    settle_tiers,
    spend_points,
)
from pricing.services.policy import set_tax_rounding, set_time_zone
from pricing.services.previews import preview_promotions
from pricing.services.prices import NewPrice, set_bundle_price, set_price, set_prices
from pricing.services.productruns import ProductFiles
from pricing.services.products import create_product, update_product
from pricing.services.promotions import change_promotion, create_promotion, delete_promotion
from pricing.services.quotes import (
    check_code,
    check_option,
    compare,
    quote,
    quote_with_basis,
    redeem,
    return_uses,
)
from pricing.services.ratefeeds import fetch_exchange_rates
from pricing.services.revision import bump
from pricing.services.shipping import (
    change_shipping_rule,
    change_zone,
    create_shipping_rule,
    create_zone,
    delete_shipping_rule,
    delete_zone,
)
from pricing.services.special import (
    SpecialTerms,
    announce_prices,
    end_special_price,
    set_special_price,
)
from pricing.services.standing import (
    copy_promotion,
    pause_promotion,
    restore_promotion,
    resume_promotion,
)
from pricing.services.taxes import change_tax_rate, create_tax_rate, delete_tax_rate

__all__ = [
    "AlertTerms",
    "Disputed",
    "GivenCode",
    "ImportReport",
    "NewPrice",
    "ProductExport",
    "ProductFiles",
    "Purchase",
    "RateTerms",
    "SpecialTerms",
    "adjust_points",
    "alert_confirmation",
    "alert_link",
    "announce_prices",
    "announce_rates",
    "ask_for_price_alerts",
    "batch_lines",
    "bump",
    "change_exemption",
    "change_group",
    "change_promotion",
    "change_shipping_rule",
    "change_tax_rate",
    "change_zone",
    "check_code",
    "check_decision",
    "check_option",
    "check_points",
    "compare",
    "confirm_price_alert",
    "copy_promotion",
    "create_batch",
    "create_group",
    "create_product",
    "create_promotion",
    "create_shipping_rule",
    "create_tax_rate",
    "create_zone",
    "decide_dispute",
    "delete_group",
    "delete_promotion",
    "delete_shipping_rule",
    "delete_tax_rate",
    "delete_tier",
    "delete_zone",
    "end_price_alert",
    "end_price_alert_by_link",
    "end_special_price",
    "enter_vat_number",
    "export_products",
    "fetch_exchange_rates",
    "give_code",
    "grant_exemption",
    "import_products",
    "lock_dispute",
    "normalise_code",
    "open_dispute",
    "pause_promotion",
    "preview_promotions",
    "quote",
    "quote_with_basis",
    "read_alert_confirmation",
    "read_alert_link",
    "redeem",
    "remove_exemption",
    "remove_vat_number",
    "restore_promotion",
    "resume_promotion",
    "return_points",
    "return_uses",
    "revoke_batch",
    "run_out_points",
    "set_batch_expiry",
    "set_bundle_price",
    "set_exchange_rate",
    "set_exchange_rates",
    "set_price",
    "set_prices",
    "set_program",
    "set_special_price",
    "set_tax_rounding",
    "set_tier",
    "set_time_zone",
    "settle_purchase",
    "settle_tiers",
    "spend_points",
    "subscribe_to_prices",
    "tell_price_alerts",
    "update_product",
    "withdraw_exchange_rate",
]
