"""What a container starts: secrets by name, read once, handed to Beam's boot."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest

secretmanager = pytest.importorskip("google.cloud.secretmanager", reason="of the extra gcp")

FILE = Path(__file__).parents[2] / "infra" / "dataflow" / "entrypoint.py"
NAME = "projects/my-project/secrets/openai/versions/latest"


@pytest.fixture(scope="module")
def entrypoint() -> ModuleType:
    spec = importlib.util.spec_from_file_location("entrypoint_of_image", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def client() -> Iterator[Any]:
    """Secret Manager's own client, and a server on loopback that knows one secret."""

    def access(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401
        if request.name != NAME:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, f"no right to read {request.name}")
        return secretmanager.AccessSecretVersionResponse(
            name=NAME, payload=secretmanager.SecretPayload(data=b"the key\n")
        )

    request, answer = (
        secretmanager.AccessSecretVersionRequest,
        secretmanager.AccessSecretVersionResponse,
    )
    handler = grpc.unary_unary_rpc_method_handler(access, request.deserialize, answer.serialize)
    service = "google.cloud.secretmanager.v1.SecretManagerService"
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(service, {"AccessSecretVersion": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    transport = secretmanager.SecretManagerServiceClient.get_transport_class("grpc")
    yield secretmanager.SecretManagerServiceClient(transport=transport(channel=channel))
    channel.close()
    server.stop(None)


def test_secrets_are_named_with_their_variables(entrypoint: ModuleType) -> None:
    assert entrypoint.names_of("") == {}
    assert entrypoint.names_of(f"KEY={NAME}, OTHER={NAME},") == {"KEY": NAME, "OTHER": NAME}


@pytest.mark.parametrize("given", ["KEY=sk-123", "KEY", "=x", "KEY=projects/p/secrets/s"])
def test_a_key_in_place_of_a_name_is_refused_and_not_repeated(
    given: str, entrypoint: ModuleType
) -> None:
    with pytest.raises(ValueError, match="allowed is NAME=projects/PROJECT") as refused:
        entrypoint.names_of(given)
    assert "sk-123" not in str(refused.value)


def test_secrets_are_read_and_what_may_not_be_read_is_an_error(
    entrypoint: ModuleType,
    client: Any,  # noqa: ANN401
) -> None:
    assert entrypoint.read_secrets({"KEY": NAME}, client) == {"KEY": "the key"}
    other = NAME.replace("openai", "other")
    with pytest.raises(Exception, match="no right to read"):
        entrypoint.read_secrets({"KEY": other}, client)


def test_without_secrets_nothing_is_asked_and_boot_gets_the_arguments(
    entrypoint: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda *given: started.append(given))
    monkeypatch.setattr(sys, "argv", ["entrypoint.py", "--id=1", "--worker_pool"])
    monkeypatch.delenv("TOKENMILL_SECRETS", raising=False)
    entrypoint.main()
    ((file, args, environment),) = started
    assert file == "/opt/apache/beam/boot"
    assert args == [file, "--id=1", "--worker_pool"]
    assert environment == dict(os.environ)
