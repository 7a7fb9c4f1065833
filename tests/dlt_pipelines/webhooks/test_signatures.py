import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from dlt_pipelines.webhooks.settings import WebhookSettings
from dlt_pipelines.webhooks.signatures import Delivery, UnverifiedError, Verifier, normal_url

BODY = b'{"callData": {"metaData": {"id": "1"}}, "isTest": false}'
PUBLIC_URL = "https://hooks.example.com/webhooks/gong"


@pytest.fixture
def verifier(receiver_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Verifier:
    for name, value in receiver_environment.items():
        monkeypatch.setenv(name, value)
    return Verifier(WebhookSettings())


def delivery(body: bytes = BODY, *, url_secret: str | None = None, **headers: str | list[str]) -> Delivery:
    return Delivery(
        url="http://127.0.0.1:9/webhooks/gong",
        headers={
            name.replace("_", "-"): [value] if isinstance(value, str) else value for name, value in headers.items()
        },
        body=body,
        url_secret=url_secret,
    )


def refusal(verifier: Verifier, sent: Delivery) -> str:
    with pytest.raises(UnverifiedError) as caught:
        verifier.verify(sent, endpoint="gong")
    return caught.value.reason


def hmac_verifier(secret: str) -> Verifier:
    return Verifier(WebhookSettings(secret=(secret,)))


@pytest.mark.parametrize(
    ("secret", "body", "digest"),
    [
        # published by GitHub under "Validating webhook deliveries"
        (
            "It's a Secret to Everybody",
            b"Hello, World!",
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ),
        # RFC 4231, test cases 2 and 6
        ("Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    ],
)
def test_published_hmac_vectors_are_accepted(secret: str, body: bytes, digest: str) -> None:
    for signature in (digest, f"sha256={digest}", digest.upper()):
        verified = hmac_verifier(secret).verify(delivery(body, x_gong_signature=signature), endpoint="gong")
        assert verified.scheme == "hmac"
    assert refusal(hmac_verifier(secret), delivery(body + b" ", x_gong_signature=digest)) == "wrong_signature"


def test_non_ascii_bodies_and_secrets_are_signed_as_bytes() -> None:
    body = '{"note": "naïve \x1b[31m \u2028 日本"}'.encode()
    digest = hmac.new("schlüssel".encode(), body, hashlib.sha256).hexdigest()
    assert hmac_verifier("schlüssel").verify(delivery(body, x_gong_signature=digest), endpoint="gong")


def test_every_configured_key_of_every_scheme_is_accepted(
    verifier: Verifier,
    signing_keys: tuple[Any, ...],
    signed: Callable[..., dict[str, str]],
    record_property: Callable[[str, object], None],
) -> None:
    for key in signing_keys:
        for token in (key.token(BODY), f"Bearer {key.token(BODY)}"):
            assert verifier.verify(delivery(authorization=token), endpoint="gong").scheme == "jwt"
    for secret in ("the-first-shared-secret-of-a-relay", "the-second-shared-secret-of-a-relay"):
        signature = signed(BODY, secret=secret)["X-Gong-Signature"]
        assert verifier.verify(delivery(x_gong_signature=signature), endpoint="gong").scheme == "hmac"
    for secret in ("first-secret-in-the-address", "second-secret-in-the-address"):
        assert verifier.verify(delivery(url_secret=secret), endpoint="gong").scheme == "url_secret"
    record_property("figure", "two keys at once of each of three schemes, 0 valid deliveries refused")


def test_a_repetition_has_the_same_key_and_another_body_another(
    verifier: Verifier, signing_keys: tuple[Any, ...], signed: Callable[..., dict[str, str]]
) -> None:
    first, second = (verifier.verify(delivery(authorization=key.token(BODY)), endpoint="gong") for key in signing_keys)
    other_body = BODY + b" "
    other = verifier.verify(delivery(other_body, authorization=signing_keys[0].token(other_body)), endpoint="gong")
    assert first.event_key == second.event_key == f"gong:sha256:{hashlib.sha256(BODY).hexdigest()}"
    assert other.event_key != first.event_key

    signature = signed(BODY)["X-Gong-Signature"]
    named = verifier.verify(delivery(x_gong_signature=signature, x_gong_webhook_id="evt-1"), endpoint="gong")
    assert named.event_key == "gong:id:evt-1"
    hostile = verifier.verify(delivery(x_gong_signature=signature, x_gong_webhook_id="x" * 5000), endpoint="gong")
    assert hostile.event_key == first.event_key


def test_an_id_without_an_hmac_beside_it_names_nothing(verifier: Verifier, signing_keys: tuple[Any, ...]) -> None:
    sent = delivery(authorization=signing_keys[0].token(BODY), x_gong_webhook_id="chosen-by-anyone")
    assert verifier.verify(sent, endpoint="gong").event_key.startswith("gong:sha256:")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": int(time.time()) - 3600}, "expired"),
        ({"exp": None}, "malformed"),
        ({"exp": "tomorrow"}, "malformed"),
        ({"nbf": int(time.time()) + 3600}, "expired"),
        ({"webhook_url": None}, "malformed"),
        ({"webhook_url": 17}, "malformed"),
        ({"webhook_url": "https://elsewhere.example.com/webhooks/gong"}, "wrong_url"),
        ({"webhook_url": "https://hooks.example.com/webhooks/gong/../other"}, "wrong_url"),
        ({"webhook_url": "https://hooks.example.com@elsewhere.example.com/webhooks/gong"}, "wrong_url"),
        ({"webhook_url": "http://[/"}, "malformed"),
        ({"webhook_url": "https://hooks.example.com:99999/webhooks/gong"}, "malformed"),
        ({"body_sha256": None}, "malformed"),
        ({"body_sha256": hashlib.sha256(b"other").hexdigest()}, "wrong_body"),
        ({"body_sha256": ""}, "wrong_body"),
        ({"body_sha256": "ж" * 64}, "wrong_body"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(
    verifier: Verifier, signing_keys: tuple[Any, ...], changes: dict[str, Any], reason: str
) -> None:
    assert refusal(verifier, delivery(authorization=signing_keys[0].token(BODY, **changes))) == reason


def test_the_clock_may_differ_by_the_leeway_and_no_more(verifier: Verifier, signing_keys: tuple[Any, ...]) -> None:
    just_over = signing_keys[0].token(BODY, exp=int(time.time()) - 30)
    long_over = signing_keys[0].token(BODY, exp=int(time.time()) - 90)
    assert verifier.verify(delivery(authorization=just_over), endpoint="gong")
    assert refusal(verifier, delivery(authorization=long_over)) == "expired"


@pytest.mark.parametrize(
    "spelling",
    ["HTTPS://Hooks.Example.COM/webhooks/gong/", "https://hooks.example.com:443/webhooks/gong", f" {PUBLIC_URL} "],
)
def test_an_address_spelled_differently_is_the_same_address(
    verifier: Verifier, signing_keys: tuple[Any, ...], spelling: str
) -> None:
    assert verifier.verify(delivery(authorization=signing_keys[0].token(BODY, webhook_url=spelling)), endpoint="gong")


def test_without_a_configured_address_the_requests_own_counts(signing_keys: tuple[Any, ...]) -> None:
    verifier = Verifier(WebhookSettings(public_key=(signing_keys[0].as_shown_by_gong,)))
    own = signing_keys[0].token(BODY, webhook_url="http://127.0.0.1:9/webhooks/gong")
    assert verifier.verify(delivery(authorization=own), endpoint="gong")
    assert refusal(verifier, delivery(authorization=signing_keys[0].token(BODY))) == "wrong_url"


def _part(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _forged_tokens(key: Any, strange: Any) -> dict[str, str]:
    genuine = key.token(BODY)
    head, claims, signature = genuine.split(".")
    plain_claims = jwt.decode(genuine, options={"verify_signature": False})
    pem = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = key.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def with_public_key_as_secret(secret: bytes) -> str:
        signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{claims}"
        mark = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{urlsafe_b64encode(mark).rstrip(b'=').decode()}"

    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(strange.private.public_key()))
    return {
        "another company's key": strange.token(BODY),
        "no algorithm": f"{_part({'alg': 'none'})}.{claims}.",
        "no algorithm, odd case": f"{_part({'alg': 'NoNe'})}.{claims}.",
        "no algorithm, signature kept": f"{_part({'alg': 'none'})}.{claims}.{signature}",
        "public key as HMAC secret, PEM": with_public_key_as_secret(pem),
        "public key as HMAC secret, DER": with_public_key_as_secret(der),
        "RS512": jwt.encode(plain_claims, key.private, algorithm="RS512"),
        "PS256": jwt.encode(plain_claims, key.private, algorithm="PS256"),
        "its own key in the header": jwt.encode(
            plain_claims, strange.private, algorithm="RS256", headers={"jwk": public, "kid": "1"}
        ),
        "a key address in the header": jwt.encode(
            plain_claims, strange.private, algorithm="RS256", headers={"jku": "https://elsewhere.example.com/keys"}
        ),
        "claims exchanged": f"{head}.{_part({**plain_claims, 'exp': 9_999_999_999})}.{signature}",
        "signature cut": f"{head}.{claims}.{signature[:-8]}",
        "signature empty": f"{head}.{claims}.",
        "two parts": f"{head}.{claims}",
        "four parts": f"{genuine}.{signature}",
        "not base64": f"{head}.{claims}.%%%%",
        "not JSON": f"{head}.{_part('text')[:-2]}!.{signature}",
        "empty": "",
        "only Bearer": "Bearer ",
        "two tokens": f"{genuine} {genuine}",
        "non-ASCII": "ж.ж.ж",
        "endless": "a" * 100_000,
        "critical extension": jwt.encode(
            plain_claims, strange.private, algorithm="RS256", headers={"crit": ["exp"], "b64": False}
        ),
        "basic": "Basic Z29uZzpnb25n",
        "null claims": jwt.encode(plain_claims, strange.private, algorithm="RS256").split(".")[0] + ".bnVsbA.",
    }


def test_no_forged_token_is_accepted(
    verifier: Verifier,
    signing_keys: tuple[Any, ...],
    strange_key: Any,
    record_property: Callable[[str, object], None],
) -> None:
    forged = _forged_tokens(signing_keys[0], strange_key)
    for what, token in forged.items():
        assert refusal(verifier, delivery(authorization=token)), what
    record_property("figure", f"{len(forged)} ways to forge a token, 0 accepted")


def test_no_forged_hmac_is_accepted(verifier: Verifier, signed: Callable[..., dict[str, str]]) -> None:
    right = signed(BODY)["X-Gong-Signature"]
    wrong = [
        "",
        "sha256=",
        right[:-1],
        right + "0",
        right[:-1] + ("0" if right[-1] != "0" else "1"),
        right.replace("sha256=", "sha1="),
        right.replace("sha256=", "sha256=sha256="),
        f"{right},{right}",
        f"{right} {right}",
        "sha256=" + "ж" * 64,
        "sha256=" + "z" * 64,
        signed(BODY, secret="a-secret-nobody-configured")["X-Gong-Signature"],
        signed(BODY, secret="")["X-Gong-Signature"],
        signed(BODY + b"\n")["X-Gong-Signature"],
    ]
    for signature in wrong:
        assert refusal(verifier, delivery(x_gong_signature=signature)), signature


def test_no_wrong_url_secret_is_accepted(verifier: Verifier) -> None:
    for secret in (
        "",
        "first-secret-in-the-addres",
        "first-secret-in-the-address ",
        "FIRST-SECRET-IN-THE-ADDRESS",
        "\ud800",
    ):
        assert refusal(verifier, delivery(url_secret=secret)) == "wrong_secret"


def test_a_right_credential_does_not_excuse_a_wrong_one(
    verifier: Verifier, signing_keys: tuple[Any, ...], strange_key: Any, signed: Callable[..., dict[str, str]]
) -> None:
    right = signing_keys[0].token(BODY)
    signature = signed(BODY)["X-Gong-Signature"]
    assert refusal(verifier, delivery(authorization=right, x_gong_signature="0" * 64)) == "wrong_signature"
    assert refusal(verifier, delivery(authorization=strange_key.token(BODY), x_gong_signature=signature))
    assert refusal(verifier, delivery(url_secret="first-secret-in-the-address", authorization=strange_key.token(BODY)))
    assert refusal(verifier, delivery(authorization=[right, right])) == "malformed"
    assert refusal(verifier, delivery(x_gong_signature=[signature, "0" * 64])) == "malformed"


def test_a_delivery_without_a_credential_or_with_one_nobody_configured_is_refused(
    signing_keys: tuple[Any, ...],
) -> None:
    only_hmac, nothing = hmac_verifier("s" * 32), Verifier(WebhookSettings())
    assert refusal(only_hmac, delivery()) == "no_credential"
    assert refusal(only_hmac, delivery(authorization=signing_keys[0].token(BODY))) == "scheme_not_configured"
    assert refusal(nothing, delivery(url_secret="")) == "scheme_not_configured"
    assert refusal(nothing, delivery(x_gong_signature=hmac.new(b"", BODY, hashlib.sha256).hexdigest()))


def test_a_key_is_read_bare_or_in_armour_and_a_bad_one_is_named_at_the_start(signing_keys: tuple[Any, ...]) -> None:
    public = signing_keys[0].private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text in (signing_keys[0].as_shown_by_gong, pem, pem.replace("\n", "\\n")):
        assert Verifier(WebhookSettings(public_key=(text,))).verify(
            delivery(authorization=signing_keys[0].token(BODY, webhook_url="http://127.0.0.1:9/webhooks/gong")),
            endpoint="gong",
        )
    for text in (
        "nonsense",
        signing_keys[0].as_shown_by_gong[:-10],
        "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=",
    ):
        with pytest.raises(ValidationError, match="GONG_WEBHOOK_PUBLIC_KEY"):
            WebhookSettings(public_key=(text,))


def test_an_address_without_a_scheme_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match="Write it as https"):
        normal_url("hooks.internal/webhooks")


def test_secrets_do_not_show_when_the_settings_are_printed() -> None:
    settings = WebhookSettings(secret=("very-secret-hmac",), url_secret=("very-secret-url",))
    assert "very-secret" not in repr(settings)
