"""What inventory can refuse."""

from __future__ import annotations

from config.platform.errors import ApplicationError


class ProductNotFound(ApplicationError):
    code = "PRODUCT_NOT_FOUND"
    http_status = 404
    title = "No such product"
    message = "There is no such product."
    advice = "Check the SKU, or search for the product."


class ProductDiscontinued(ApplicationError):
    code = "PRODUCT_DISCONTINUED"
    title = "This product is no longer sold"
    message = "This product is no longer sold."
    advice = "Choose an alternative."


class VariantInvalid(ApplicationError):
    code = "VARIANT_INVALID"
    title = "Choose a variant"
    message = "This product comes in several variants; say which."
    advice = "Send variantId or sku."


class InsufficientStock(ApplicationError):
    """Plainly not there: known before the hold was tried."""

    code = "ITEM_OUT_OF_STOCK"
    title = "Item is out of stock"
    message = "There is not enough stock."
    advice = "Lower the quantity or remove the item."


class HoldFailed(ApplicationError):
    """Lost the race, or a checkout could not hold every line."""

    code = "INVENTORY_HOLD_FAILED"
    http_status = 409
    title = "The items could not be held"
    message = "The items could not be held for you."
    advice = "Lower the quantity of the items listed, then try again."


class HoldLimitExceeded(ApplicationError):
    code = "HOLD_LIMIT_EXCEEDED"
    http_status = 409
    title = "Too many units held"
    message = "You hold as many units as one customer may."
    advice = "Buy or remove some of what you hold first."


class StockLevelNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such stock record"
    message = "There is no such stock record."
    advice = "Look it up in GET /inventory."


class CompanyNotFound(ApplicationError):
    code = "COMPANY_NOT_FOUND"
    http_status = 404
    title = "No such company"
    message = "There is no such company."
    advice = "Check X-Company-Id: the id or slug of a company, or leave it out."


class StockBelowHolds(ApplicationError):
    """Staff took away what is already promised; holds run out within minutes, so try again then."""

    code = "STOCK_BELOW_HOLDS"
    http_status = 409
    title = "These units are promised"
    message = "Fewer units are free than you want to take away."
    advice = "Take no more than is free, or release the holds first."


class StockMoved(ApplicationError):
    """A shelf is not what it was when somebody looked at it, so what they found no longer fits."""

    code = "STOCK_CHANGED"
    http_status = 409
    title = "The shelf changed meanwhile"
    message = "The shelf changed since you looked at it."
    advice = "Look at it again, then repeat."


class StockLevelExists(ApplicationError):
    code = "STOCK_RECORD_EXISTS"
    http_status = 409
    title = "There is a stock record already"
    message = "This variant has a stock record in this warehouse already."
    advice = "Adjust the record that is there."


class SkuTaken(ApplicationError):
    code = "SKU_TAKEN"
    http_status = 409
    title = "This SKU is taken"
    message = "Another product has this SKU."
    advice = "Choose another SKU."


class SlugTaken(ApplicationError):
    code = "SLUG_TAKEN"
    http_status = 409
    title = "This slug is taken"
    message = "Another product has this slug."
    advice = "Choose another slug."


class PictureNotFound(ApplicationError):
    code = "PICTURE_NOT_FOUND"
    http_status = 404
    title = "No such picture"
    message = "This product has no such picture."


class CategoryNotFound(ApplicationError):
    code = "CATEGORY_NOT_FOUND"
    http_status = 404
    title = "No such category"
    message = "There is no such category."
    advice = "Look the slug up in GET /categories."


class CategoryInUse(ApplicationError):
    code = "CATEGORY_IN_USE"
    http_status = 409
    title = "This category is in use"
    message = "There are products or categories in this category, or a promotion names it."
    advice = (
        "Move what is in it to another one first. One that a promotion names can only be hidden."
    )


class WarehouseNotFound(ApplicationError):
    code = "WAREHOUSE_NOT_FOUND"
    http_status = 404
    title = "No such warehouse"
    message = "There is no such warehouse."
    advice = "Use the code of a warehouse of this company, or leave it out for the default one."


class CountsRefused(ApplicationError):
    """Counts of many shelves of which some cannot be true; `errors` names each by row and column."""

    code = "COUNTS_REFUSED"
    http_status = 409
    title = "Some counts cannot be applied"
    message = "Some counts cannot be applied."
    advice = "Correct the rows listed under errors, or leave them out."


class PreviewOutdated(ApplicationError):
    """The shop changed between the look at an import and its application."""

    code = "PREVIEW_OUTDATED"
    http_status = 409
    title = "The shop changed meanwhile"
    message = "The shop changed since this was shown, so it would do something else now."
    advice = "Look at what it would do now, then apply that."


class SourceClosed(ApplicationError):
    """No such outside system, or it has no secret here: the same answer for both."""

    code = "FEATURE_DISABLED"
    http_status = 404
    title = "This source may not post here"
    message = "No outside system of this name may post here."
    advice = "Ask the shop to add the source and its secret."


class MessageReused(ApplicationError):
    code = "WEBHOOK_ID_REUSED"
    http_status = 409
    title = "This message id was used for another message"
    message = "This message id was used for another message. Nothing was changed."
    advice = "Use a new id for a new message."


class ProductInStock(ApplicationError):
    code = "PRODUCT_IN_STOCK"
    http_status = 409
    title = "It is in stock"
    message = "It is in stock: there is nothing to wait for."
    advice = "Put it in your cart."


class TooManyBackInStockRequests(ApplicationError):
    code = "BACK_IN_STOCK_LIMIT_EXCEEDED"
    http_status = 409
    title = "Too many requests"
    message = "You wait for as many things as one customer may."
    advice = "Take one off your list first."


class BackInStockRequestNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such request"
    message = "There is no such request, or nothing is kept for it any more."
    advice = "Ask again on the product's page."


class BackInStockLinkInvalid(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "This link leads nowhere"
    message = "This link is not complete, or too old."
    advice = "Ask again on the product's page."


class ImportRunNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such file"
    message = "There is no such file."


class ImportRunClosed(ApplicationError):
    """Somebody applied or dropped the file already, or it is being worked at."""

    code = "IMPORT_CLOSED"
    http_status = 409
    title = "This file cannot be applied now"
    message = "This file is not waiting to be applied."
    advice = "Look at what became of it."
