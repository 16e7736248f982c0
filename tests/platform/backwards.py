"""
All migrations to nothing and back on a database of its own: `make migrations-back`. Takes a minute or more of processor time.

What is compared is what PostgreSQL says: columns, constraints, indexes, triggers and sequences, before and after.
"""

from __future__ import annotations

import os
import sys

OURS = {"platform", "inventory", "pricing", "cart", "orders", "checkout", "notifications"}
_SHAPE = """
    SELECT 'column', table_name, column_name, concat_ws(' ', data_type, is_nullable, column_default)
      FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid)
      FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'sequence', sequencename, '', '' FROM pg_sequences WHERE schemaname = 'public'
"""


def main() -> int:
    """Return 1 where a migration cannot be taken back, leaves a table behind or does not come back as it was."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
    import django

    django.setup()
    from django.apps import apps
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    def shape() -> set[tuple[str, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(_SHAPE)
            return set(cursor.fetchall())

    name = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = f"back_{name}"
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        before = shape()
        MigrationExecutor(connection).migrate([(label, None) for label in sorted(OURS)])
        tables = {
            model._meta.db_table
            for label in OURS
            for model in apps.get_app_config(label).get_models(include_auto_created=True)
            if model._meta.managed
        }
        left = sorted({table for _, table, *_ in shape()} & tables)
        call_command("migrate", verbosity=0, interactive=False)
        after = shape()
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)
    for row in left:
        print(f"left behind: {row}")
    for row in sorted(before - after):
        print("did not come back:", *row)
    for row in sorted(after - before):
        print("came back otherwise:", *row)
    if left or before != after:
        return 1
    print("Every migration can be taken back, and comes back as it was.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
