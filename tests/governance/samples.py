"""Made-up secrets and personal data in their real forms. None of them opens anything."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from urllib.parse import quote

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"

PRIVATE_KEY = "\n".join(
    ["-----BEGIN RSA PRIVATE KEY-----", *["MIIEowIBAAKCAQEA" + "x7Kq" * 12] * 6, "-----END RSA PRIVATE KEY-----"]
)

SECRETS = {
    "aws_access_key": "AKIA" + "IOSFODNN7EXAMPLE",
    "github_token": "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "gitlab_token": "glpat-" + "x9Yz8Wv7Ut6Sr5Qp4On3",
    "slack_token": "xoxb-" + "123456789012-1234567890123-abcdefghijklmnopqrstuvwx",
    "stripe_key": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "twilio_key": "SK" + "0123456789abcdef0123456789abcdef",
    "openai_key": "sk-proj-" + "a1b2c3d4e5f6g7h8i9j0k1" + "T3BlbkFJ" + "a1b2c3d4e5f6g7h8i9j0k1",
    "anthropic_key": "sk-ant-api03-" + "aB3-_x" * 16,
    "customhouse_key": "ck_" + "Zx9" * 14 + "Q",
    "google_api_key": "AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
    "huggingface_token": "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "npm_token": "npm_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "pypi_token": "pypi-AgEIcHlwaS5vcmc" + "Cc9" * 30,
    "sendgrid_key": "SG." + "ngeVfQFYQlKU0ufo8x5d1A" + "." + "TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr",
    "azure_storage_key": "AccountKey=" + "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6" * 2,
    "basic_auth": "https://bob:hunter2hunter2@db.internal/x",
    "telegram_token": "110201543:" + "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawX",
    "jwt": JWT,
    "private_key": PRIVATE_KEY,
}
"""One of each kind, in one piece."""

SPACED_SECRETS = ('aws secret access key = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY12"',)
"""Forms that white space interrupts."""

PII = {
    "email": "alice.smith+test@mail.riverbank.co.uk",
    "phone": "+44 20 7946 0958",
    "payment_card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "us_ssn": "536-90-4399",
}

MORE_PII = ("(415) 555-2671", "415-555-2671", "5555555555554444", "3782 822463 10005", "GB29NWBK60161331926819")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


UNBROKEN: Mapping[str, Callable[[str], str]] = {
    "base64": _base64,
    "base64 for URLs, without padding": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 of base64 of base64": lambda text: _base64(_base64(_base64(text))),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "hex": lambda text: text.encode().hex(),
    "hex of base64": lambda text: _base64(text).encode().hex(),
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent of base64": lambda text: quote(_base64(text), safe=""),
    "entities": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "unicode escapes": lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
    "byte escapes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "variation selectors": lambda text: "".join(
        chr(0xFE00 + byte if byte < 16 else 0xE0100 + byte - 16) for byte in text.encode()
    ),
}
"""Encodings that leave no white space: they are found in streams as well."""

DISGUISES: Mapping[str, Callable[[str], str]] = {
    "zero width": "\u200b".join,
    "byte order marks": "\ufeff".join,
    "variation selectors between": "\ufe0f\ufe0e".join,
    "bidi overrides": lambda text: f"\u202e{text}\u202c",
    "many of them": lambda text: ("\u2060" * 40).join(text),
    "stray accents": "\u0335\u0360".join,
    "full width": lambda text: text.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)}),
    "mathematical": lambda text: text.translate(
        {ord("A") + at: 0x1D400 + at for at in range(26)} | {ord("a") + at: 0x1D41A + at for at in range(26)}
    ),
    "tags": lambda text: "".join(chr(0xE0000 + ord(each)) if " " <= each <= "~" else each for each in text),
    "control characters": "\x07\x7f".join,
}
"""Other spellings: what a reader sees, or a model reads, is the same."""
