"""What the platform's own endpoints read."""

from __future__ import annotations

from rest_framework import serializers

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
