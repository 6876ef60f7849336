from __future__ import annotations

import base64
import json
import os
from datetime import timedelta
from uuid import UUID

import pytest
from google.protobuf.json_format import MessageToJson
from pydantic import BaseModel
from temporalio import workflow
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from customhouse.contracts.errors import ConfigurationError, CustomhouseError, UnprocessableField
from customhouse.contracts.invocation import Caller
from customhouse.integrations.codec import (
    EncryptionCodec,
    data_converter,
    decode_payloads,
    encode_payloads,
    parse_keys,
)
from customhouse.integrations.temporal_client import connect


def _key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


PLAIN = Payload(metadata={"encoding": b"json/plain", "messageType": b"x"}, data=b'"the secret prompt"')


async def test_a_payload_comes_back_whole_and_shows_nothing() -> None:
    codec = EncryptionCodec(parse_keys(_key()))
    (first,) = await codec.encode([PLAIN])
    (second,) = await codec.encode([PLAIN])
    assert first.metadata["encoding"] == b"binary/encrypted"
    assert set(first.metadata) == {"encoding", "encryption-cipher", "encryption-key-id"}
    assert b"secret" not in first.SerializeToString()
    assert first.data != second.data
    assert await codec.decode([first, PLAIN]) == [PLAIN, PLAIN]


async def test_rotation_new_key_encrypts_and_old_key_still_decrypts() -> None:
    old, new = _key(), _key()
    (before,) = await EncryptionCodec(parse_keys(old)).encode([PLAIN])
    rotated = EncryptionCodec(parse_keys(f"{new}, {old}"))
    (after,) = await rotated.encode([PLAIN])
    assert after.metadata["encryption-key-id"] != before.metadata["encryption-key-id"]
    assert await rotated.decode([before, after]) == [PLAIN, PLAIN]
    assert await EncryptionCodec(parse_keys(new)).decode([after]) == [PLAIN]
    with pytest.raises(ConfigurationError, match="append the former key to CUSTOMHOUSE_ENCRYPTION_KEY"):
        await EncryptionCodec(parse_keys(new)).decode([before])


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "key-id"])
async def test_an_altered_payload_is_refused(damage: str) -> None:
    first, second = _key(), _key()
    codec = EncryptionCodec(parse_keys(f"{first},{second}"))
    (payload,) = await codec.encode([PLAIN])
    match damage:
        case "flip":
            payload.data = payload.data[:-1] + bytes([payload.data[-1] ^ 1])
        case "cut":
            payload.data = payload.data[:20]
        case "empty":
            payload.data = b""
        case _:
            payload.metadata["encryption-key-id"] = parse_keys(second).primary.id
    with pytest.raises(CustomhouseError, match="cut or altered"):
        await codec.decode([payload])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("not base64!", "key 1 is not base64"),
        ("", "key 1 has 0 bytes"),
        (base64.b64encode(b"short").decode(), "key 1 has 5 bytes"),
        (f"{base64.b64encode(bytes(32)).decode()},", "key 2 has 0 bytes"),
        ("ключ", "key 1 is not base64"),
    ],
)
def test_a_bad_key_is_refused_without_being_shown(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        parse_keys(text)
    assert "openssl rand -base64 32" in caught.value.message
    assert not text or text not in caught.value.message


def test_url_safe_and_unpadded_keys_are_taken_and_never_shown() -> None:
    secret = bytes(range(224, 256))
    standard = parse_keys(base64.b64encode(secret).decode())
    assert parse_keys(base64.urlsafe_b64encode(secret).decode().rstrip("=")).primary.id == standard.primary.id
    assert "aead" not in repr(standard)


async def test_the_codec_endpoint_speaks_temporals_protocol() -> None:
    codec = EncryptionCodec(parse_keys(_key()))
    encrypted = await codec.encode([PLAIN])
    body = MessageToJson(Payloads(payloads=encrypted)).encode()
    decoded = json.loads(await decode_payloads(body, codec))
    assert decoded == {
        "payloads": [
            {
                "metadata": {
                    "encoding": base64.b64encode(b"json/plain").decode(),
                    "messageType": base64.b64encode(b"x").decode(),
                },
                "data": base64.b64encode(PLAIN.data).decode(),
            }
        ]
    }
    assert (
        json.loads(await decode_payloads(await encode_payloads(json.dumps(decoded).encode(), codec), codec)) == decoded
    )
    assert json.loads(await decode_payloads(b'{"payloads": [], "newer": 1}', codec)) == {}


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"payloads": 1}', b'{"payloads":[7]}', b"\xff", b"null", b"[" * 5000],
)
async def test_the_codec_endpoint_refuses_what_is_no_payloads(body: bytes) -> None:
    with pytest.raises(UnprocessableField, match="codec protocol"):
        await decode_payloads(body, EncryptionCodec(parse_keys(_key())))


async def test_the_codec_endpoint_names_the_trouble_with_a_payload() -> None:
    body = MessageToJson(Payloads(payloads=await EncryptionCodec(parse_keys(_key())).encode([PLAIN]))).encode()
    with pytest.raises(UnprocessableField, match="append the former key"):
        await decode_payloads(body, EncryptionCodec(parse_keys(_key())))


def test_without_keys_nothing_is_encrypted() -> None:
    assert data_converter(None).payload_codec is None


def test_the_converter_is_made_once_and_leaves_out_what_nobody_set() -> None:
    assert data_converter(None).payload_converter_class() is data_converter(None).payload_converter_class()
    (payload,) = data_converter(None).payload_converter.to_payloads([Caller(organization_id=UUID(int=1))])
    assert payload.data == b'{"organization_id":"00000000-0000-0000-0000-000000000001"}'


class Prompt(BaseModel):
    text: str
    fail: bool = False


@workflow.defn
class SecretWorkflow:
    @workflow.run
    async def run(self, given: Prompt) -> Prompt:
        if given.fail:
            raise ApplicationError("the secret prompt", "the secret detail")
        return given


@pytest.mark.parametrize("fail", [False, True])
async def test_history_holds_neither_content_nor_the_text_of_failures(
    temporal_address: str, task_queue: str, *, fail: bool
) -> None:
    client = await connect(temporal_address, keys=parse_keys(_key()))
    async with Worker(
        client, task_queue=task_queue, workflows=[SecretWorkflow], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        handle = await client.start_workflow(
            SecretWorkflow.run,
            Prompt(text="the secret prompt", fail=fail),
            id=task_queue,
            task_queue=task_queue,
            execution_timeout=timedelta(seconds=20),
        )
        if fail:
            with pytest.raises(WorkflowFailureError) as caught:
                await handle.result()
            assert isinstance(caught.value.cause, ApplicationError)
            assert caught.value.cause.message == "the secret prompt"
        else:
            assert await handle.result() == Prompt(text="the secret prompt")
    history = await handle.fetch_history()
    assert not any(b"secret" in event.SerializeToString() for event in history.events)
