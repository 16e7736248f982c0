"""What search has to look at again, and the words it knows."""

from __future__ import annotations

from django.db import models

from inventory.models.catalogue import Company, Product


class CatalogueChange(models.Model):
    """
    A note that a product, its variants, prices, or what is in stock of it, changed in a transaction.

    Written by triggers only, through the function `note_catalogue_change`. Whoever keeps a picture of the catalogue
    reads again what was noted by transactions that its last snapshot did not know to be over.
    """

    company = models.ForeignKey(
        Company, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    product = models.ForeignKey(
        Product, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    xact = models.BigIntegerField()
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "catalogue_changes"
        constraints = [
            # One note a transaction: it never waits for another one's.
            models.UniqueConstraint(
                fields=["company", "xact", "product"], name="catalogue_change_once"
            )
        ]
        indexes = [models.Index(fields=["changed_at"], name="catalogue_change_age")]

    def __str__(self) -> str:
        return f"{self.product_id} in {self.xact}"


class SearchWord(models.Model):
    """A word that products on sale are called by, without accents and in lower case: what a typing error may mean."""

    company = models.ForeignKey(
        Company, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    word = models.CharField(max_length=40)
    products = models.PositiveIntegerField()

    class Meta:
        db_table = "search_words"
        constraints = [models.UniqueConstraint(fields=["company", "word"], name="search_word_once")]

    def __str__(self) -> str:
        return self.word
