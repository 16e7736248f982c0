from django.db import migrations
from django.db.models import Exists, OuterRef, Q, TextField
from django.db.models.functions import Cast


def as_the_trail_tells(apps, schema_editor):
    """Mark drafts, and what was withdrawn as one, unless the audit trail knows that they were sold. No status is set,
    so the trigger stays out of it."""
    Product = apps.get_model("inventory", "Product")
    AuditEntry = apps.get_model("platform", "AuditEntry")
    about = AuditEntry.objects.filter(
        object_type="product", object_id=OuterRef("key"), company_id=OuterRef("company_id")
    )
    ended = about.filter(action="product.discontinued")
    secret = (
        Product.objects.annotate(key=Cast("id", TextField()))
        .filter(
            Q(status="draft")
            | Q(status="discontinued")
            & Exists(ended.filter(before__status="draft"))
            & ~Exists(ended.exclude(before__status="draft"))
        )
        .exclude(Exists(about.filter(action="product.reactivated")))
    )
    Product.objects.filter(id__in=list(secret.values_list("id", flat=True))).update(
        was_public=False
    )


class Migration(migrations.Migration):
    dependencies = [("inventory", "0015_product_was_public"), ("platform", "0001_initial")]

    operations = [migrations.RunPython(as_the_trail_tells, migrations.RunPython.noop)]
