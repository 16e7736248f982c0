"""What search needs to know that no single product says: the words of the catalogue, and which products changed."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection, transaction

from inventory.models import CatalogueChange

# Longer than any process goes on with its picture of the catalogue without asking what changed.
NOTES_KEPT = timedelta(hours=24)


@transaction.atomic
def learn_words() -> int:
    """
    Write down which words products on sale are called by, in every company, and forget the others: two statements.

    Return how many words came, went or are used more or less often. Words of a product that was added since the last
    time are found when written as they are; only a typing error in them is not recognised yet. Locks the table of words
    against others that write it.
    """
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE search_words IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(
            r"""
            WITH texts AS (
                SELECT p.id, p.company_id, lower(unaccent(
                           p.name || ' ' || p.vendor || ' ' || array_to_string(p.tags, ' ') || ' ' || coalesce((
                               SELECT string_agg(DISTINCT option.value, ' ')
                                 FROM variants v, jsonb_each_text(v.options) option WHERE v.product_id = p.id), ''))) AS text
                  FROM products p WHERE p.status = 'active'
            ), words AS (
                SELECT t.company_id, split.word, count(DISTINCT t.id) AS products
                  FROM texts t, regexp_split_to_table(t.text, '[^[:alnum:]]+') AS split (word)
                 WHERE length(split.word) BETWEEN 3 AND 40 AND split.word ~ '[^0-9]'
                 GROUP BY t.company_id, split.word
            ), gone AS (
                DELETE FROM search_words s WHERE NOT EXISTS (
                    SELECT FROM words w WHERE w.company_id = s.company_id AND w.word = s.word)
                RETURNING s.id
            ), kept AS (
                INSERT INTO search_words AS s (company_id, word, products) SELECT company_id, word, products FROM words
                ON CONFLICT (company_id, word) DO UPDATE SET products = excluded.products
                 WHERE s.products <> excluded.products
                RETURNING s.id
            )
            SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM kept)
            """
        )
        changed: int = cursor.fetchone()[0]
    return changed


def prune_changes(*, now: datetime) -> int:
    """Delete notes of changes that every process has read by now, and return how many."""
    return CatalogueChange.objects.filter(changed_at__lt=now - NOTES_KEPT).delete()[0]
