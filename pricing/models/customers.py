"""Groups of customers who have prices and promotions of their own."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, User, new_id
from inventory.models import Company


class CustomerGroup(models.Model):
    """Customers who have prices of their own."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="customer_groups")
    name = models.CharField(_("name"), max_length=100)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "customer_groups"
        verbose_name = _("customer group")
        verbose_name_plural = _("customer groups")
        constraints = [
            models.UniqueConstraint(fields=["company", "name"], name="customer_group_name_unique")
        ]

    def __str__(self) -> str:
        return self.name


class CustomerGroupMember(models.Model):
    group = models.ForeignKey(CustomerGroup, models.CASCADE, related_name="members")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")

    class Meta:
        db_table = "customer_group_members"
        constraints = [
            models.UniqueConstraint(fields=["user", "group"], name="customer_group_member_once")
        ]

    def __str__(self) -> str:
        return f"{self.user_id}"
