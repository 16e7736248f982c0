"""What the platform's own endpoints read."""

from __future__ import annotations

from rest_framework import serializers

from config.platform import performance
from config.platform.http import Input, single_line


class LoginInput(Input):
    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(max_length=128, trim_whitespace=False)


class RegisterInput(LoginInput):
    name = serializers.CharField(
        max_length=200, required=False, allow_blank=True, default="", validators=[single_line]
    )


class RefreshInput(Input):
    refresh_token = serializers.CharField(max_length=4_096)


class LogoutInput(Input):
    refresh_token = serializers.CharField(max_length=4_096, required=False)


class TokensOutput(serializers.Serializer):
    accessToken = serializers.CharField()
    refreshToken = serializers.CharField()
    expiresIn = serializers.IntegerField(help_text="Seconds until the access token expires.")
    merge = serializers.DictField(
        required=False, help_text="What became of the guest cart sent along."
    )


class HealthOutput(serializers.Serializer):
    status = serializers.CharField()
    version = serializers.CharField()
    build = serializers.CharField(help_text="A commit or build number; may be empty.")
    environment = serializers.CharField()


class CheckOutput(serializers.Serializer):
    status = serializers.ChoiceField(choices=["ok", "degraded", "down"])
    ms = serializers.FloatField()
    detail = serializers.CharField()


class ReadinessOutput(serializers.Serializer):
    status = serializers.ChoiceField(choices=["ok", "degraded", "down"])
    checks = serializers.DictField(child=CheckOutput())


class PerformanceQuery(Input):
    minutes = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=performance.MOST_MINUTES,
        help_text="How far to look back; 5 unless said otherwise.",
    )


class TimesOutput(serializers.Serializer):
    requests = serializers.IntegerField()
    requestsPerSecond = serializers.FloatField()
    errorRate = serializers.FloatField(help_text="Answers of 5xx, from 0 to 1.")
    clientErrorRate = serializers.FloatField(help_text="Answers of 4xx, from 0 to 1.")
    meanMs = serializers.FloatField(allow_null=True)
    p50Ms = serializers.FloatField(allow_null=True)
    p95Ms = serializers.FloatField(allow_null=True)
    p99Ms = serializers.FloatField(allow_null=True)


class OperationOutput(TimesOutput):
    method = serializers.CharField()
    route = serializers.CharField()


class CacheOutput(serializers.Serializer):
    hits = serializers.IntegerField()
    misses = serializers.IntegerField()
    hitRate = serializers.FloatField(allow_null=True)


class PoolOutput(serializers.Serializer):
    size = serializers.IntegerField()
    inUse = serializers.IntegerField()
    waiting = serializers.IntegerField()
    most = serializers.IntegerField()


class DatabaseOutput(serializers.Serializer):
    connections = serializers.IntegerField()
    active = serializers.IntegerField()
    most = serializers.IntegerField()


class PerformanceOutput(TimesOutput):
    windowSeconds = serializers.IntegerField()
    cache = CacheOutput()
    pool = PoolOutput(allow_null=True, help_text="Of the process that answers.")
    database = DatabaseOutput(help_text="Connections of all processes.")
    operations = OperationOutput(many=True, help_text="The busiest first.")
